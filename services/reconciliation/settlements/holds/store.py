"""Held lines in PostgreSQL: every statement of this noun. History is only added to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.settlements.lifecycle import HoldAction, HoldState

# Served by postings_pkey.
_AMOUNT = """
SELECT count(*) AS postings, coalesce(-sum(paise), 0)::bigint AS paise
FROM reconciliation.postings WHERE entry_id = $1 AND account = ANY ($2)
"""
# Served by corrections_pkey, corrections_of and postings_pkey. The first that has something of its party is held, with
# all that came after it.
_IS_HELD_WITH_ANOTHER = """
SELECT count(*) > 0 FROM reconciliation.corrections k CROSS JOIN LATERAL (
  SELECT k.corrects AS entry_id UNION ALL
  SELECT o.entry_id FROM reconciliation.corrections o WHERE o.corrects = k.corrects AND o.entry_id < k.entry_id
) o JOIN reconciliation.postings p ON p.entry_id = o.entry_id AND p.account = ANY ($2) WHERE k.entry_id = $1
"""
_COLUMNS = "party, entry_id, state, paise, changes_count, changed_at"
# Served by settlement_holds_pkey.
_GET = f"SELECT {_COLUMNS} FROM reconciliation.settlement_holds WHERE entry_id = $1 AND party = $2"  # noqa: S608 - a constant
# Served by holds_in_force, of which there are some hundreds.
_IN_FORCE = f"""
SELECT {_COLUMNS} FROM reconciliation.settlement_holds
WHERE state <> 'released' AND ($1 = '' OR party = $1) AND (party, entry_id) > ($2, $3)
ORDER BY party, entry_id LIMIT $4
"""  # noqa: S608 - a constant
# Served by settlement_hold_changes_pkey.
_CHANGES = """
SELECT change_no, action, state, reason, changed_at, changed_by FROM reconciliation.settlement_hold_changes
WHERE entry_id = $1 AND party = $2 ORDER BY change_no
"""
# Served by settlement_holds_pkey.
_SET = f"""
INSERT INTO reconciliation.settlement_holds ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (entry_id, party) DO UPDATE SET state = excluded.state, changes_count = excluded.changes_count,
  changed_at = excluded.changed_at
"""  # noqa: S608 - a constant
_ADD_CHANGE = """
INSERT INTO reconciliation.settlement_hold_changes (party, entry_id, change_no, action, state, reason, changed_at,
  changed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
# Served by settlement_lines_pkey, settlement_cycles_pkey and payout_batches_cycle_no_key.
_PAID_OUT = """
SELECT b.batch_no FROM reconciliation.settlement_lines l
JOIN reconciliation.settlement_cycles c ON c.cycle_no = l.cycle_no
JOIN reconciliation.settlement_cycles d ON d.calendar = c.calendar AND d.cycle_no >= c.cycle_no
JOIN reconciliation.payout_batches b ON b.cycle_no = d.cycle_no
WHERE l.entry_id = $1 AND l.party = $2 AND coalesce(b.created_at > $3, true) ORDER BY b.batch_no LIMIT 1
"""
# What is left to be held, by party and calendar, for statements that go on from there. Served by holds_in_force,
# settlement_lines_pkey, settlement_cycles_pkey, entries_pkey, entries_reverses_key, corrections_of,
# discrepancies_by_delivery, cases_pkey, resolutions_pkey, entry_once, postings_pkey, leg_settled_once,
# results_of_further_lines and payment_once: each hold is looked up, of which there are some hundreds. Corrections are
# held with what they correct. What a line has undone, or the desk has matched, or settled and booked, is held no more,
# nor is what others have paid of it, once that is booked: payouts take that off.
LEFT_OF_HELD = """
left_of_held AS (
  SELECT h.party, h.entry_id, k.calendar, greatest(0, h.paise + coalesce((
    SELECT sum(u.paise) FROM reconciliation.corrections k
    JOIN reconciliation.settlement_lines u ON u.entry_id = k.entry_id AND u.party = h.party
    WHERE k.entry_id <> h.entry_id AND k.corrects = coalesce((SELECT o.corrects FROM reconciliation.corrections o
      WHERE o.entry_id = h.entry_id), h.entry_id)
  ), 0) - coalesce((
    SELECT sum(r.paid_paise) FROM (
      SELECT run_no, paid_paise FROM reconciliation.results
      WHERE delivery_id = k.delivery_id AND leg = 'payout' AND is_settling AND outcome <> 'wrong_partner'
      UNION ALL
      SELECT run_no, paid_paise FROM reconciliation.results
      WHERE delivery_id = k.delivery_id AND leg = 'payout' AND NOT is_settling AND outcome <> 'wrong_partner'
    ) r
    CROSS JOIN LATERAL (
      SELECT e.calendar FROM reconciliation.settlement_payments p
      JOIN reconciliation.entries e ON e.id = p.entry_id
      WHERE p.run_no = r.run_no AND p.party = h.party AND p.leg = 'payout' LIMIT 1
    ) p
    WHERE p.calendar = k.calendar
  ), 0)) AS paise
  FROM reconciliation.settlement_holds h
  CROSS JOIN LATERAL (
    SELECT c.calendar, CASE l.kind WHEN 'delivery' THEN e.delivery_id END AS delivery_id
    FROM reconciliation.settlement_lines l
    JOIN reconciliation.settlement_cycles c ON c.cycle_no = l.cycle_no
    JOIN reconciliation.entries e ON e.id = l.entry_id
    WHERE l.entry_id = h.entry_id AND l.party = h.party LIMIT 1
  ) k
  WHERE h.state <> 'released'
    AND NOT coalesce((SELECT true FROM reconciliation.entries u
      JOIN reconciliation.settlement_lines l ON l.entry_id = u.id
      WHERE u.reverses = coalesce((SELECT k.corrects FROM reconciliation.corrections k WHERE k.entry_id = h.entry_id),
        h.entry_id) LIMIT 1), false)
    AND NOT coalesce((SELECT true FROM reconciliation.discrepancies d
      JOIN reconciliation.cases c ON c.case_id = d.id
      JOIN reconciliation.resolutions x ON x.id = c.resolution_id
      WHERE d.delivery_id = k.delivery_id AND d.leg = 'payout' AND d.payee = h.party AND d.is_resolved
        AND (x.kind = 'match' OR coalesce((SELECT true FROM reconciliation.entries e
          JOIN reconciliation.postings p ON p.entry_id = e.id AND p.account = h.party
          WHERE e.cause_event_id = c.resolution_id AND e.kind = 'resolution'
            AND coalesce(e.calendar, '') = k.calendar LIMIT 1), false)) LIMIT 1), false)
)"""


@dataclass(frozen=True, slots=True)
class Hold:
    """A line that is or was held, and how often that was changed."""

    party: str
    entry_id: UUID
    state: HoldState
    paise: int
    changes_count: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class HoldChange:
    """Who did what with a line, when and why."""

    change_no: int
    action: HoldAction
    state: HoldState
    reason: str
    changed_at: datetime
    changed_by: str


async def amount(connection: asyncpg.Connection, entry_id: UUID, accounts: Sequence[str]) -> int | None:
    """Return what an entry adds to what the owner of some accounts is owed; None when it has no postings on them."""
    row = await connection.fetchrow(_AMOUNT, entry_id, accounts)
    return row["paise"] if row["postings"] else None


async def is_held_with_another(connection: asyncpg.Connection, entry_id: UUID, accounts: Sequence[str]) -> bool:
    """Return whether an entry corrects another that has something of the owner of some accounts itself."""
    found: bool = await connection.fetchval(_IS_HELD_WITH_ANOTHER, entry_id, accounts)
    return found


async def get(connection: asyncpg.Connection, party: str, entry_id: UUID) -> Hold | None:
    """Return whether a line is held, or None when it never was."""
    row = await connection.fetchrow(_GET, entry_id, party)
    return _hold(row) if row else None


async def in_force(connection: asyncpg.Connection, party: str, after: tuple[str, UUID], rows_max: int) -> list[Hold]:
    """Return lines that are held, by party and entry, those after one; of one party, or of all for an empty one."""
    return [_hold(row) for row in await connection.fetch(_IN_FORCE, party, *after, rows_max)]


async def changes(connection: asyncpg.Connection, party: str, entry_id: UUID) -> list[HoldChange]:
    """Return what was done with a line, oldest first."""
    return [
        HoldChange(**{**row, "action": HoldAction(row["action"]), "state": HoldState(row["state"])})
        for row in await connection.fetch(_CHANGES, entry_id, party)
    ]


async def put(connection: asyncpg.Connection, hold: Hold, change: HoldChange) -> None:
    """Store what a line has become, and who did it."""
    await connection.execute(
        _SET, hold.party, hold.entry_id, hold.state, hold.paise, hold.changes_count, hold.changed_at
    )
    await connection.execute(
        _ADD_CHANGE, hold.party, hold.entry_id, change.change_no, change.action, change.state, change.reason,
        change.changed_at, change.changed_by,
    )  # fmt: skip


async def paid_out_by(connection: asyncpg.Connection, party: str, entry_id: UUID, since: datetime | None) -> int | None:
    """Return the first batch of payouts with which a line was paid out since it was last released, or None."""
    found: int | None = await connection.fetchval(_PAID_OUT, entry_id, party, since)
    return found


def _hold(row: asyncpg.Record) -> Hold:
    return Hold(**{**row, "state": HoldState(row["state"])})
