"""What is asked of cycles and statements: every statement of these queries."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.reconciliation.settlements.statement import (
    Cycle,
    MerchantCharge,
    MerchantCycle,
    Statement,
    StatementLine,
    Totals,
)
from services.reconciliation.settlements.store import CYCLE_COLUMNS

_TOTALS = """
  opening_paise, lines_count, work_paise, tax_paise, cash_paise, paid_paise, closing_paise, held_paise, unsettled_paise,
  payable_paise
"""
_FIRST = UUID(int=0)
# Served by settlement_cycles_pkey.
_CYCLE = f"SELECT {CYCLE_COLUMNS} FROM reconciliation.settlement_cycles WHERE cycle_no = $1"  # noqa: S608 - a constant
# Served by settlement_cycles_pkey, whose order is the list's.
_CYCLES = f"""
SELECT {CYCLE_COLUMNS} FROM reconciliation.settlement_cycles WHERE cycle_no < $1 ORDER BY cycle_no DESC LIMIT $2
"""  # noqa: S608 - a constant
# Served by settlement_statements_pkey.
_SUMMARY = """
SELECT count(*) AS statements_count, coalesce(sum(lines_count), 0)::bigint AS lines_count,
  coalesce(sum(closing_paise), 0)::bigint AS closing_paise, coalesce(sum(held_paise), 0)::bigint AS held_paise,
  coalesce(sum(payable_paise), 0)::bigint AS payable_paise
FROM reconciliation.settlement_statements WHERE cycle_no = $1
"""
# Served by settlement_statements_pkey, whose order is the list's.
_STATEMENTS = f"""
SELECT party, content_sha256, {_TOTALS} FROM reconciliation.settlement_statements
WHERE cycle_no = $1 AND party > $2 ORDER BY party LIMIT $3
"""  # noqa: S608 - a constant
# Served by settlement_statements_pkey.
_STATEMENT = f"""
SELECT party, content_sha256, {_TOTALS} FROM reconciliation.settlement_statements WHERE cycle_no = $1 AND party = $2
"""  # noqa: S608 - a constant
# Served by settlement_lines_by_party, entries_pkey and corrections_pkey. A correction is of the delivery that it
# corrects.
_LINES = """
SELECT l.entry_id, l.kind, coalesce(e.delivery_id, (SELECT o.delivery_id FROM reconciliation.corrections k
    JOIN reconciliation.entries o ON o.id = k.corrects WHERE k.entry_id = e.id)) AS delivery_id, e.occurred_at,
  l.work_paise, l.tax_paise, l.cash_paise, l.paid_paise,
  l.adjusts_entry_id, l.adjusts_cycle_no
FROM reconciliation.settlement_lines l JOIN reconciliation.entries e ON e.id = l.entry_id
WHERE l.cycle_no = $1 AND l.party = $2 AND l.entry_id > $3 ORDER BY l.entry_id LIMIT $4
"""
# Served by settlement_lines_by_party, entries_pkey and rate_cards_pkey.
_CHARGES = """
SELECT c.city_code, coalesce((c.terms->>'gst_bp')::integer, 0) AS gst_bp,
  (count(*) FILTER (WHERE l.kind = 'delivery') - count(*) FILTER (WHERE l.kind IN ('reversal', 'adjustment')))::bigint
    AS deliveries_count, -sum(l.work_paise)::bigint AS fee_paise, -sum(l.tax_paise)::bigint AS gst_paise
FROM reconciliation.settlement_lines l JOIN reconciliation.entries e ON e.id = l.entry_id
JOIN reconciliation.rate_cards c ON c.id = e.rate_card_id
WHERE l.cycle_no = $1 AND l.party = $2 AND l.kind IN ('delivery', 'reversal', 'adjustment', 'correction')
GROUP BY 1, 2 ORDER BY 1, 2
"""
# Served by settlement_lines_pkey, entries_pkey and settlement_cycles_pkey.
_LINE = """
SELECT l.cycle_no, l.kind, l.entry_id, coalesce(e.delivery_id, (SELECT o.delivery_id FROM
    reconciliation.corrections k JOIN reconciliation.entries o ON o.id = k.corrects WHERE k.entry_id = e.id))
    AS delivery_id, e.occurred_at, l.work_paise, l.tax_paise, l.cash_paise, l.paid_paise,
  l.adjusts_entry_id, l.adjusts_cycle_no, e.cause_event_id, e.event_ids
FROM reconciliation.settlement_lines l JOIN reconciliation.entries e ON e.id = l.entry_id
WHERE l.entry_id = $1 AND l.party = $2
"""
# Served by postings_pkey.
_POSTINGS = "SELECT account, purpose, paise FROM reconciliation.postings WHERE entry_id = $1 ORDER BY line"
# Served by settlement_top_ups_pkey and rate_cards_pkey.
_TOP_UP = """
SELECT t.on_duty_s, t.earned_paise, t.guarantee_paise_per_h, t.paise, e.rate_card_id
FROM reconciliation.settlement_top_ups t JOIN reconciliation.entries e ON e.id = t.entry_id WHERE t.entry_id = $1
"""
# Served by payouts_paid_entry_id_key and payouts_returned_entry_id_key.
_PAYOUT_OF = """
SELECT reference, paise, paid_by_statement_id AS statement_id, paid_by_line AS line
FROM reconciliation.payouts WHERE paid_entry_id = $1
UNION ALL
SELECT reference, paise, returned_by_statement_id, returned_by_line
FROM reconciliation.payouts WHERE returned_entry_id = $1
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a cycle's statements come to so far."""

    statements_count: int
    lines_count: int
    closing_paise: int
    held_paise: int
    payable_paise: int


@dataclass(frozen=True, slots=True)
class KnownLine:
    """A line of any cycle, and what its entry names."""

    cycle_no: int
    line: StatementLine
    cause_event_id: UUID
    event_ids: tuple[UUID, ...]
    # (account, purpose, paise), all of them.
    postings: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class KnownTopUp:
    """What a guarantee was worked out from."""

    on_duty_s: int
    earned_paise: int
    guarantee_paise_per_h: int
    paise: int
    rate_card_id: UUID


@dataclass(frozen=True, slots=True)
class KnownPayout:
    """The payout that an entry books, and the line of the bank's statement that says so."""

    reference: str
    paise: int
    statement_id: UUID
    line: int


async def cycle(connection: asyncpg.Connection, cycle_no: int) -> Cycle | None:
    """Return one cycle, or None."""
    row = await connection.fetchrow(_CYCLE, cycle_no)
    return Cycle(**row) if row else None


async def cycles(connection: asyncpg.Connection, before_no: int, rows_max: int) -> list[Cycle]:
    """Return cycles, the youngest first."""
    return [Cycle(**row) for row in await connection.fetch(_CYCLES, before_no, rows_max)]


async def summary(connection: asyncpg.Connection, cycle_no: int) -> Summary:
    """Return what the statements of a cycle come to that the caller may see."""
    return Summary(**await connection.fetchrow(_SUMMARY, cycle_no))


async def statements(connection: asyncpg.Connection, of: Cycle, after: str, rows_max: int) -> list[Statement]:
    """Return statements of a cycle in the order of their parties, those after one, without their lines."""
    return [_statement(of, row) for row in await connection.fetch(_STATEMENTS, of.cycle_no, after, rows_max)]


async def totals(connection: asyncpg.Connection, of: Cycle, party: str) -> Statement | None:
    """Return one party's statement without its lines, or None."""
    row = await connection.fetchrow(_STATEMENT, of.cycle_no, party)
    return _statement(of, row) if row else None


async def lines(
    connection: asyncpg.Connection, cycle_no: int, party: str, after: UUID = _FIRST, rows_max: int | None = None
) -> list[StatementLine]:
    """Return a party's lines in the order of their entries' ids, those after one; all of them without a limit."""
    return [StatementLine(**row) for row in await connection.fetch(_LINES, cycle_no, party, after, rows_max)]


async def statement(connection: asyncpg.Connection, cycle_no: int, party: str) -> Statement | None:
    """Return one party's whole statement of a cycle, or None.

    It is as large as it is: some hundreds of lines for a partner. A merchant's invoice takes `merchant_cycle`.
    """
    of = await cycle(connection, cycle_no)
    found = await totals(connection, of, party) if of else None
    if of is None or found is None:
        return None
    return Statement(of, party, found.totals, found.content_sha256, tuple(await lines(connection, cycle_no, party)))


async def merchant_cycle(connection: asyncpg.Connection, cycle_no: int, merchant_id: UUID) -> MerchantCycle | None:
    """Return what a merchant is charged and remitted for a cycle, or None where it has no statement."""
    of, party = await cycle(connection, cycle_no), f"merchant:{merchant_id}"
    found = await totals(connection, of, party) if of else None
    if found is None:
        return None
    rows = await connection.fetch(_CHARGES, cycle_no, party)
    return MerchantCycle(merchant_id, found, tuple(MerchantCharge(**row) for row in rows))


async def line(connection: asyncpg.Connection, party: str, entry_id: UUID) -> KnownLine | None:
    """Return a party's line of whatever cycle, or None."""
    row = await connection.fetchrow(_LINE, entry_id, party)
    if row is None:
        return None
    named = {name: row[name] for name in StatementLine.__dataclass_fields__}
    postings = tuple(tuple(posting) for posting in await connection.fetch(_POSTINGS, entry_id))
    return KnownLine(row["cycle_no"], StatementLine(**named), row["cause_event_id"], tuple(row["event_ids"]), postings)


async def top_up(connection: asyncpg.Connection, entry_id: UUID) -> KnownTopUp | None:
    """Return what a guarantee's entry was worked out from."""
    row = await connection.fetchrow(_TOP_UP, entry_id)
    return KnownTopUp(**row) if row else None


async def payout_of(connection: asyncpg.Connection, entry_id: UUID) -> KnownPayout | None:
    """Return the payout that an entry books, or its return."""
    row = await connection.fetchrow(_PAYOUT_OF, entry_id)
    return KnownPayout(**row) if row else None


def _statement(of: Cycle, row: asyncpg.Record) -> Statement:
    named = {name: row[name] for name in Totals.__dataclass_fields__}
    return Statement(of, row["party"], Totals(**named), row["content_sha256"])
