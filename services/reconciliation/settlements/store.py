"""Cycles and the bookings of settlements in PostgreSQL: opening, moving on, closing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.settlements.booking import Booking, merchant_of
from services.reconciliation.settlements.lifecycle import State
from services.reconciliation.settlements.statement import Cycle

CYCLE_COLUMNS = "cycle_no, calendar, from_at, until_at, state, opened_at, opened_by, closed_at, last_error"
# Serves no index: cycles are opened, and lines are held and paid out, one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation settlements', 0))"
# Served by settlement_cycles_pkey, read backwards: there is one a week, or one a day of some cities.
_LAST = f"""
SELECT {CYCLE_COLUMNS} FROM reconciliation.settlement_cycles WHERE calendar = $1 ORDER BY cycle_no DESC LIMIT 1
"""  # noqa: S608 - a constant
# Served by settlement_cycles_pkey.
_LAST_NO = "SELECT coalesce(max(cycle_no), 0) FROM reconciliation.settlement_cycles"
_ADD_CYCLE = """
INSERT INTO reconciliation.settlement_cycles (cycle_no, calendar, previous_no, from_at, until_at, entries_from,
  entries_until, own_cities, state, opened_at, opened_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
# Served by one_open_cycle. Whoever closes it holds it, and others leave it alone.
_HOLD_OPEN = """
SELECT cycle_no, calendar, previous_no, from_at, until_at, entries_from, entries_until, own_cities, state, position
FROM reconciliation.settlement_cycles WHERE closed_at IS NULL AND cycle_no <> ALL ($1::integer[])
ORDER BY cycle_no LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# Served by settlement_cycles_pkey.
_MOVE_ON = """
UPDATE reconciliation.settlement_cycles SET state = $2, position = $3, closed_at = $4, last_error = NULL
WHERE cycle_no = $1
"""
# Served by settlement_cycles_pkey.
_FAILED = "UPDATE reconciliation.settlement_cycles SET last_error = $2 WHERE cycle_no = $1 AND closed_at IS NULL"
# Served by entry_once: whoever books the same cause again, books nothing.
_ADD_ENTRIES = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, calendar, partner_id, partner_version,
  rate_card_id, merchant_id, occurred_at, booked_at, postings_count)
SELECT id, kind::reconciliation.entry_kind, cause_event_id, event_ids::uuid[], calendar, partner_id, partner_version,
  rate_card_id, merchant_id, occurred_at, $11, postings_count
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::bigint[], $8::uuid[],
  $9::uuid[], $10::timestamptz[], $12::smallint[])
  AS e (id, kind, cause_event_id, event_ids, calendar, partner_id, partner_version, rate_card_id, merchant_id,
    occurred_at, postings_count)
ON CONFLICT ON CONSTRAINT entry_once DO NOTHING RETURNING id
"""
_ADD_POSTINGS = """
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, merchant_id,
  booked_at)
SELECT p.*, $8 FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::text[], $5::text[], $6::bigint[],
  $7::uuid[]) AS p
"""


@dataclass(frozen=True, slots=True)
class NewCycle:
    """What a cycle is opened with."""

    cycle_no: int
    calendar: str
    previous_no: int | None
    from_at: datetime
    until_at: datetime
    entries_from: UUID
    entries_until: UUID
    own_cities: list[str]
    state: State
    opened_at: datetime
    opened_by: str


@dataclass(frozen=True, slots=True)
class OpenCycle:
    """A cycle that is being closed, locked until the end of the transaction. `position` is how far its state is."""

    cycle_no: int
    calendar: str
    previous_no: int | None
    from_at: datetime
    until_at: datetime
    entries_from: UUID
    entries_until: UUID
    own_cities: list[str]
    state: State
    position: str


async def lock(connection: asyncpg.Connection) -> None:
    """Have others who open cycles, hold lines or pay out wait for the end of this transaction."""
    await connection.execute(_LOCK)


async def last(connection: asyncpg.Connection, calendar: str) -> Cycle | None:
    """Return a calendar's last cycle, closed or not."""
    row = await connection.fetchrow(_LAST, calendar)
    return Cycle(**row) if row else None


async def last_no(connection: asyncpg.Connection) -> int:
    """Return the number of the last cycle of all, 0 for none."""
    return int(await connection.fetchval(_LAST_NO))


async def add_cycle(connection: asyncpg.Connection, made: NewCycle) -> None:
    """Store a cycle."""
    await connection.execute(
        _ADD_CYCLE, made.cycle_no, made.calendar, made.previous_no, made.from_at, made.until_at, made.entries_from,
        made.entries_until, made.own_cities, made.state, made.opened_at, made.opened_by,
    )  # fmt: skip


async def hold_open(connection: asyncpg.Connection, left_alone: Sequence[int]) -> OpenCycle | None:
    """Lock a cycle that is being closed, that nobody else works on, and that is none of those that are left alone."""
    row = await connection.fetchrow(_HOLD_OPEN, left_alone)
    return OpenCycle(**{**row, "state": State(row["state"])}) if row else None


async def move_on(
    connection: asyncpg.Connection, cycle_no: int, state: State, position: str, closed_at: datetime | None
) -> None:
    """Note how far a cycle is."""
    await connection.execute(_MOVE_ON, cycle_no, state, position, closed_at)


async def note_failure(connection: asyncpg.Connection, cycle_no: int, said: str) -> None:
    """Note what keeps an open cycle, for people."""
    await connection.execute(_FAILED, cycle_no, said)


async def book(connection: asyncpg.Connection, bookings: Sequence[Booking], now: datetime) -> set[UUID]:
    """Add entries with their postings; return the ids of those that were new: a cause is booked once of each kind."""
    if not bookings:
        return set()
    rows = [
        (b.id, b.kind, b.cause_id, "{" + ",".join(map(str, b.event_ids)) + "}", b.calendar, b.partner_id,
         b.partner_version, b.rate_card_id, b.merchant_id, b.occurred_at)
        for b in bookings
    ]  # fmt: skip
    counts = [len(b.postings) for b in bookings]
    added = {
        row["id"]
        for row in await connection.fetch(_ADD_ENTRIES, *map(list, zip(*rows, strict=True)), now, counts)
    }  # fmt: skip
    postings = [
        (b.id, line, len(b.postings), str(p.account), p.purpose, p.paise, merchant_of(p.account))
        for b in bookings
        if b.id in added
        for line, p in enumerate(b.postings, 1)
    ]
    if postings:
        await connection.execute(_ADD_POSTINGS, *map(list, zip(*postings, strict=True)), now)
    return added
