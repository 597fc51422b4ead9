"""Resolutions in PostgreSQL: what is proposed and decided, and its effect on what is open and on the ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.exceptions.case import Case, Outcome, Resolution
from services.reconciliation.exceptions.resolutions import ResolutionKind, Worth

# What the desk settles, no run does: nothing that looks at the results of a run sees it.
NO_RUN, NO_CHUNK = 0, -1
RULE = "desk"
# Lines that pay a part of a leg, or more than that.
_OF_A_LEG = frozenset({"underpaid", "overpaid", "cash_mismatch"})
# What is about the amount that a leg is owed.
_OF_WHAT_IS_OWED = frozenset({"missing_payout", "underpaid", "overpaid", "late_adjustment"})
_COLUMNS = """id, kind, cases_count, amount_paise, limit_paise, note, proposed_by, proposed_at, outcome,
  decided_by, decided_at, decided_note"""
_ADD = f"""
INSERT INTO reconciliation.resolutions ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""  # noqa: S608 - a constant
# Served by resolutions_pkey.
_GET = f"SELECT {_COLUMNS} FROM reconciliation.resolutions WHERE id = $1"  # noqa: S608 - a constant
# Served by resolutions_pkey, whose order is that of proposing.
_LIST = f"SELECT {_COLUMNS} FROM reconciliation.resolutions WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608 - a constant
# Served by resolutions_proposed.
_LIST_PROPOSED = f"""
SELECT {_COLUMNS} FROM reconciliation.resolutions WHERE outcome IS NULL AND id < $1 ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - a constant
# Served by resolutions_pkey.
_DECIDE = f"""
UPDATE reconciliation.resolutions SET outcome = $2, decided_by = $3, decided_at = $4, decided_note = $5
WHERE id = $1 AND outcome IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant
# Served by discrepancies_pkey.
_RESOLVE = "UPDATE reconciliation.discrepancies SET is_resolved = true WHERE id = ANY ($1::uuid[])"
# Served by open_lines_pkey and line_settled_once.
_SETTLE_LINES = """
WITH settled AS (
  DELETE FROM reconciliation.open_lines o
  USING unnest($1::uuid[], $2::int[], $3::text[]) AS w (statement_id, line, outcome)
  WHERE o.statement_id = w.statement_id AND o.line = w.line
  RETURNING o.statement_id, o.line, o.leg, w.outcome, o.paise
)
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk)
SELECT statement_id, line, NULL, leg, outcome, $4, false, 0, paise, $5, $6 FROM settled
"""
# Served by open_legs_pkey, leg_settled_once, entry_once_for_delivery, settlement_lines_pkey, settlement_cycles_pkey and
# payout_batches_cycle_no_key. A leg that is paid together with others names a line of theirs. One that the ledger has
# undone is for the next run to see; and what a settlement pays out is not written off as if nobody had been paid.
_SETTLE_LEGS = """
WITH settled AS (
  DELETE FROM reconciliation.open_legs o
  USING unnest($1::uuid[], $2::text[], $3::text[]) AS w (delivery_id, leg, outcome)
  WHERE o.delivery_id = w.delivery_id AND o.leg = w.leg
    AND NOT EXISTS (SELECT FROM reconciliation.entries u WHERE u.delivery_id = o.delivery_id AND u.kind = 'reversal')
    AND (w.leg <> 'payout' OR NOT $9 OR NOT EXISTS (
      SELECT FROM reconciliation.entries e
      JOIN reconciliation.settlement_lines l ON l.entry_id = e.id AND l.party = o.payee
      JOIN reconciliation.settlement_cycles c ON c.cycle_no = l.cycle_no
      JOIN reconciliation.settlement_cycles d ON d.calendar = c.calendar AND d.cycle_no >= c.cycle_no
      JOIN reconciliation.payout_batches b ON b.cycle_no = d.cycle_no
      WHERE e.delivery_id = o.delivery_id AND e.kind = 'earnings'))
  RETURNING o.delivery_id, o.leg, w.outcome, o.paise
)
INSERT INTO reconciliation.results (statement_id, line, delivery_id, leg, outcome, rule, is_settling, expected_paise,
  paid_paise, run_no, chunk, paid_by_statement_id, paid_by_line)
SELECT NULL, NULL, delivery_id, leg, outcome, $4, true, paise, CASE outcome WHEN 'matched' THEN paise ELSE 0 END,
  $5, $6, $7, $8
FROM settled
"""
# Served by entry_once_for_delivery.
_UNDONE = "SELECT count(*) FROM reconciliation.entries WHERE delivery_id = ANY ($1::uuid[]) AND kind = 'reversal'"
# Served by entry_once_for_delivery, corrections_of and postings_pkey.
_CORRECTED = """
SELECT count(*) FROM (
  SELECT FROM reconciliation.entries e JOIN reconciliation.corrections k ON k.corrects = e.id
  JOIN reconciliation.postings p ON p.entry_id = k.entry_id AND p.purpose = 'earnings'
  WHERE e.delivery_id = ANY ($1::uuid[]) AND e.kind = 'earnings'
  GROUP BY e.id, p.account HAVING sum(p.paise) <> 0
) c
"""
# Served by entry_once: a resolution is booked once.
_ADD_ENTRY = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, calendar, occurred_at, booked_at,
  postings_count)
VALUES ($1, 'resolution', $2, $3, $6, $4, $4, $5)
"""
# Served by partner_versions_pkey: where partners work now.
_CITIES = """
SELECT p.partner_id, coalesce(v.city_code, '') AS city_code
FROM unnest($1::uuid[]) AS p (partner_id) CROSS JOIN LATERAL (
  SELECT city_code FROM reconciliation.partner_versions WHERE partner_id = p.partner_id ORDER BY version DESC LIMIT 1
) v
"""
# Served by entry_once.
_ENTRY_OF = "SELECT id FROM reconciliation.entries WHERE cause_event_id = $1 AND kind = 'resolution'"


async def add(connection: asyncpg.Connection, made: Resolution) -> None:
    """Store what is proposed, or decided at once."""
    await connection.execute(
        _ADD, made.id, made.kind, made.cases_count, made.amount_paise, made.limit_paise, made.note, made.proposed_by,
        made.proposed_at, made.outcome.value if made.outcome else None, made.decided_by or None, made.decided_at,
        made.decided_note,
    )  # fmt: skip


async def get(connection: asyncpg.Connection, resolution_id: UUID) -> Resolution | None:
    """Return a resolution, or None."""
    row = await connection.fetchrow(_GET, resolution_id)
    return _resolution_from(row) if row else None


async def search(
    connection: asyncpg.Connection, before_id: UUID, rows_max: int, *, proposed_only: bool
) -> list[Resolution]:
    """Return resolutions, the youngest first."""
    statement = _LIST_PROPOSED if proposed_only else _LIST
    return [_resolution_from(row) for row in await connection.fetch(statement, before_id, rows_max)]


async def decide(
    connection: asyncpg.Connection, resolution_id: UUID, outcome: Outcome, by: str, at: datetime, note: str
) -> Resolution | None:
    """Approve or decline what is proposed; None when it is decided already."""
    row = await connection.fetchrow(_DECIDE, resolution_id, outcome.value, by, at, note)
    return _resolution_from(row) if row else None


async def resolve(
    connection: asyncpg.Connection, cases: Sequence[Case], kind: ResolutionKind, *, gives_up: bool
) -> int:
    """Settle what of the cases is open, for good; return of how many that cannot be, which must be none.

    Runs have settled these meanwhile, or the ledger has corrected or undone them, or a settlement pays them out: that
    matters where `gives_up`, which is that some of it is written off. What is corrected is on its party's statement.
    """
    matched = kind is ResolutionKind.MATCH
    await connection.execute(_RESOLVE, [case.id for case in cases])
    lines = [case for case in cases if case.is_open_line]
    legs = [case for case in cases if case.is_open_leg]
    settled = 0
    if lines:
        keys = ([case.statement_id for case in lines], [case.line for case in lines])
        outcomes = ["matched" if matched else case.kind for case in lines]
        settled += _count(await connection.execute(_SETTLE_LINES, *keys, outcomes, RULE, NO_RUN, NO_CHUNK))
    if legs:
        deliveries = ([case.delivery_id for case in legs], [case.leg for case in legs])
        outcomes = ["matched" if matched else case.kind for case in legs]
        payer = next((case for case in cases if case.line is not None), None) if matched else None
        paid_by = (payer.statement_id, payer.line) if payer else (None, None)
        tag = await connection.execute(_SETTLE_LEGS, *deliveries, outcomes, RULE, NO_RUN, NO_CHUNK, *paid_by, gives_up)
        settled += _count(tag)
    parts = [case.delivery_id for case in cases if case.line is not None and case.kind in _OF_A_LEG]
    # The case of the whole leg is about what was paid of it.
    undone: int = await connection.fetchval(_UNDONE, parts) if gives_up and parts else 0
    owed = [case.delivery_id for case in cases if case.leg == "payout" and case.kind in _OF_WHAT_IS_OWED]
    corrected: int = await connection.fetchval(_CORRECTED, owed) if gives_up and owed else 0
    return len(lines) + len(legs) - settled + undone + corrected


async def cities(connection: asyncpg.Connection, partner_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return where partners work, of those that are known."""
    return {row["partner_id"]: row["city_code"] for row in await connection.fetch(_CITIES, partner_ids)}


async def book(
    connection: asyncpg.Connection, entry_id: UUID, made: Resolution, case_ids: Sequence[UUID], worth: Worth
) -> None:
    """Book a resolution that is approved; its postings follow."""
    await connection.execute(
        _ADD_ENTRY, entry_id, made.id, case_ids, made.decided_at, len(worth.postings), worth.calendar
    )


async def entry_of(connection: asyncpg.Connection, resolution_id: UUID) -> UUID | None:
    """Return the entry of the ledger that a resolution was booked as, or None."""
    found: UUID | None = await connection.fetchval(_ENTRY_OF, resolution_id)
    return found


def _resolution_from(row: asyncpg.Record) -> Resolution:
    found = {**dict(row), "outcome": None, "decided_by": row["decided_by"] or ""}
    return replace(Resolution(**found), outcome=Outcome(row["outcome"]) if row["outcome"] else None)


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
