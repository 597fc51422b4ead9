"""Payouts in PostgreSQL: every statement of this noun."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.ids import floor_at
from services.reconciliation.settlements.holds.store import LEFT_OF_HELD
from services.reconciliation.settlements.lifecycle import PayoutState
from services.reconciliation.settlements.payouts.batch import Batch, Payout
from services.reconciliation.settlements.statement import Cycle

_BATCH_COLUMNS = "batch_no, cycle_no, payouts_count, paise, created_at, created_by"
# Served by payout_batches_cycle_no_key.
_BATCH_OF = f"SELECT {_BATCH_COLUMNS} FROM reconciliation.payout_batches WHERE cycle_no = $1"  # noqa: S608 - a constant
# Served by settlement_cycles_pkey.
_SUPERSEDED_BY = """
SELECT min(d.cycle_no) FROM reconciliation.settlement_cycles c
JOIN reconciliation.settlement_cycles d ON d.calendar = c.calendar AND d.cycle_no > c.cycle_no WHERE c.cycle_no = $1
"""
# Served by settlement_statements_pkey, payouts_open, payout_batches_pkey, settlement_cycles_pkey, postings_by_account,
# entries_pkey, reversals, corrections_of, settlement_lines_pkey, postings_pkey, and what LEFT_OF_HELD names. Taken off
# too is what was held, or sent, since the statements were closed, and what others have paid, or the desk has given up:
# that is on one of two accounts; and what was undone of their lines, but for what of these is held anyway. What payouts
# have paid is of other kinds of entries. Each is looked up, however many there may be.
_CREATE = f"""
WITH {LEFT_OF_HELD}, cycles AS MATERIALIZED (
  SELECT array_agg(cycle_no) AS cycle_nos FROM reconciliation.settlement_cycles WHERE calendar = $5 AND cycle_no <= $1
), batches AS MATERIALIZED (
  SELECT array_agg(batch_no) AS batch_nos FROM reconciliation.payout_batches
  WHERE cycle_no = ANY ((SELECT cycle_nos FROM cycles)::integer[])
), held AS (
  SELECT party, sum(paise)::bigint AS paise FROM left_of_held WHERE calendar = $5 GROUP BY party
), unsettled AS (
  SELECT party, sum(paise)::bigint AS paise FROM reconciliation.payouts
  WHERE is_open AND batch_no = ANY ((SELECT batch_nos FROM batches)::integer[]) GROUP BY party
), settled AS (
  SELECT DISTINCT entry_id FROM reconciliation.postings
  WHERE account IN ('platform:bank', 'platform:write_offs') AND booked_at >= $6
), undone AS MATERIALIZED (
  SELECT id, reverses FROM reconciliation.entries WHERE kind = 'reversal' AND id >= $7
), unstated AS (
  SELECT CASE WHEN p.account LIKE 'cash:%' THEN 'partner:' || substr(p.account, 6) ELSE p.account END AS party,
    p.paise
  FROM settled CROSS JOIN LATERAL (
    SELECT e.id FROM reconciliation.entries e
    WHERE e.id = settled.entry_id AND e.kind IN ('payment', 'resolution') AND coalesce(e.calendar, '') = $5
      AND NOT EXISTS (SELECT FROM reconciliation.settlement_lines l WHERE l.entry_id = e.id) LIMIT 1
  ) e
  JOIN reconciliation.postings p ON p.entry_id = e.id
  UNION ALL
  SELECT l.party, l.paise - coalesce((SELECT h.paise FROM left_of_held h
    WHERE h.entry_id = l.entry_id AND h.party = l.party), 0)
  FROM undone CROSS JOIN LATERAL (
    SELECT * FROM reconciliation.settlement_lines WHERE entry_id = ANY (ARRAY(SELECT undone.reverses UNION ALL
      SELECT k.entry_id FROM reconciliation.corrections k WHERE k.corrects = undone.reverses)) OFFSET 0
  ) l
  WHERE l.cycle_no = ANY ((SELECT cycle_nos FROM cycles)::integer[])
    AND NOT coalesce((SELECT true FROM reconciliation.settlement_lines u
      WHERE u.entry_id = undone.id AND u.party = l.party), false)
), taken_off AS (
  SELECT party, sum(paise)::bigint AS paise FROM unstated GROUP BY party
), due AS (
  SELECT s.party, s.merchant_id,
    s.closing_paise - coalesce(h.paise, 0) - coalesce(u.paise, 0) - greatest(0, t.paise) AS paise
  FROM reconciliation.settlement_statements s
  LEFT JOIN held h ON h.party = s.party LEFT JOIN unsettled u ON u.party = s.party
  LEFT JOIN taken_off t ON t.party = s.party WHERE s.cycle_no = $1
), numbered AS (
  SELECT party, merchant_id, paise, row_number() OVER (ORDER BY party) AS sequence FROM due WHERE paise > 0
), made AS (
  INSERT INTO reconciliation.payouts (batch_no, sequence, reference, party, paise, state, changed_at, merchant_id)
  SELECT n.batch_no, sequence, 'LM' || lpad(n.batch_no::text, 6, '0') || lpad(sequence::text, 8, '0'), party, paise,
    $4, $2, merchant_id
  FROM numbered CROSS JOIN (SELECT coalesce(max(batch_no), 0) + 1 AS batch_no FROM reconciliation.payout_batches) n
  RETURNING paise
)
INSERT INTO reconciliation.payout_batches (batch_no, cycle_no, payouts_count, paise, created_at, created_by)
SELECT (SELECT coalesce(max(batch_no), 0) + 1 FROM reconciliation.payout_batches), $1, count(*),
  coalesce(sum(paise), 0)::bigint, $2, $3
FROM made
"""  # noqa: S608 - a constant
# Served by payouts_pkey.
_PAYOUTS = """
SELECT sequence, reference, party, paise, state FROM reconciliation.payouts
WHERE batch_no = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
"""
# Served by payouts_pkey.
_TALLIES = """
SELECT state, count(*) AS payouts_count, sum(paise)::bigint AS paise FROM reconciliation.payouts
WHERE batch_no = $1 GROUP BY state ORDER BY state
"""
# Served by statements_pkey and mappings_pkey.
_CONFIRMS = """
SELECT coalesce((m.terms->>'confirms_payouts')::boolean, false) FROM reconciliation.statements s
JOIN reconciliation.mappings m ON m.source_code = s.source_code AND m.version = s.mapping_version WHERE s.id = $1
"""
# Served by statement_lines_pkey, payouts_reference_key, payout_batches_pkey and settlement_cycles_pkey.
_SAID = """
SELECT l.line, l.leg, l.reference, l.paise, l.paid_at, p.batch_no, p.sequence, p.party, p.paise AS owed_paise, p.state,
  p.paid_entry_id IS NOT NULL AS was_paid, c.calendar
FROM reconciliation.statement_lines l
LEFT JOIN reconciliation.payouts p ON p.reference = l.reference
LEFT JOIN reconciliation.payout_batches b ON b.batch_no = p.batch_no
LEFT JOIN reconciliation.settlement_cycles c ON c.cycle_no = b.cycle_no
WHERE l.statement_id = $1 AND l.line > $2 ORDER BY l.line LIMIT $3
"""
# Served by payouts_pkey. What came back takes from what is payable no more.
_SETTLE = """
UPDATE reconciliation.payouts p SET state = s.state, changed_at = $1,
  is_open = p.is_open AND s.state <> 'returned',
  paid_entry_id = coalesce(p.paid_entry_id, CASE WHEN s.state = 'paid' THEN s.entry_id END),
  returned_entry_id = CASE WHEN s.state = 'returned' THEN s.entry_id ELSE p.returned_entry_id END,
  paid_by_statement_id = CASE WHEN s.state = 'paid' THEN $2 ELSE p.paid_by_statement_id END,
  paid_by_line = CASE WHEN s.state = 'paid' THEN s.line ELSE p.paid_by_line END,
  returned_by_statement_id = CASE WHEN s.state = 'returned' THEN $2 ELSE p.returned_by_statement_id END,
  returned_by_line = CASE WHEN s.state = 'returned' THEN s.line ELSE p.returned_by_line END
FROM unnest($3::int[], $4::int[], $5::text[], $6::uuid[], $7::int[]) AS s (batch_no, sequence, state, entry_id, line)
WHERE p.batch_no = s.batch_no AND p.sequence = s.sequence
"""


@dataclass(frozen=True, slots=True)
class NamedPayout:
    """The payout that a line names. `was_paid` also of one that has come back since."""

    batch_no: int
    sequence: int
    party: str
    paise: int
    state: PayoutState
    was_paid: bool
    calendar: str


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a bank's statement, and the payout that has its reference, if any."""

    line: int
    leg: str
    reference: str
    paise: int
    paid_at: datetime
    named: NamedPayout | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a payout has become by which line, and the entry that books it, if any."""

    batch_no: int
    sequence: int
    state: PayoutState
    entry_id: UUID | None
    line: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many payouts of a batch are in a state."""

    state: str
    payouts_count: int
    paise: int


async def batch_of(connection: asyncpg.Connection, cycle_no: int) -> Batch | None:
    """Return what is paid out for a cycle, or None."""
    row = await connection.fetchrow(_BATCH_OF, cycle_no)
    return Batch(**row) if row else None


async def superseded_by(connection: asyncpg.Connection, cycle_no: int) -> int | None:
    """Return the cycle that follows in the same calendar, or None."""
    found: int | None = await connection.fetchval(_SUPERSEDED_BY, cycle_no)
    return found


async def create(connection: asyncpg.Connection, cycle: Cycle, by: str, now: datetime, booked_from: datetime) -> None:
    """Make payouts of all that is payable for a cycle. No statement may have what was booked from `booked_from` on."""
    await connection.execute(
        _CREATE, cycle.cycle_no, now, by, PayoutState.SENT, cycle.calendar, booked_from, floor_at(booked_from)
    )


async def payouts(connection: asyncpg.Connection, batch_no: int, after: int, rows_max: int) -> list[Payout]:
    """Return payouts of a batch in the order of their sequences, those after one."""
    rows = await connection.fetch(_PAYOUTS, batch_no, after, rows_max)
    return [Payout(**{**row, "state": PayoutState(row["state"])}) for row in rows]


async def tallies(connection: asyncpg.Connection, batch_no: int) -> list[Tally]:
    """Return how many payouts of a batch are in each state."""
    return [Tally(**row) for row in await connection.fetch(_TALLIES, batch_no)]


async def confirms(connection: asyncpg.Connection, statement_id: UUID) -> bool | None:
    """Return whether a statement is about payouts; None when there is none of this id."""
    found: bool | None = await connection.fetchval(_CONFIRMS, statement_id)
    return found


async def said(connection: asyncpg.Connection, statement_id: UUID, after_line: int, rows_max: int) -> list[Said]:
    """Return lines of a statement in the order of the file, those after one, each with its payout."""
    rows = await connection.fetch(_SAID, statement_id, after_line, rows_max)
    return [Said(row["line"], row["leg"], row["reference"], row["paise"], row["paid_at"], _named(row)) for row in rows]


async def settle(connection: asyncpg.Connection, statement_id: UUID, settled: Sequence[Settled], now: datetime) -> None:
    """Note what payouts have become; each payout once at most."""
    if settled:
        rows = [(s.batch_no, s.sequence, s.state, s.entry_id, s.line) for s in settled]
        await connection.execute(_SETTLE, now, statement_id, *map(list, zip(*rows, strict=True)))


def _named(row: asyncpg.Record) -> NamedPayout | None:
    if row["batch_no"] is None:
        return None
    return NamedPayout(
        row["batch_no"], row["sequence"], row["party"], row["owed_paise"], PayoutState(row["state"]), row["was_paid"],
        row["calendar"],
    )  # fmt: skip
