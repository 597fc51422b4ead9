"""The replication slot that events are read through, and its epochs.

A slot's name ends in its epoch, and so do the names of the streams that are filled from it: a slot made anew may stand
on another cluster, whose log positions begin again, and Redis would take its events for old ones.
"""

import time
from dataclasses import dataclass

import asyncpg

PREFIX = "lastmile_events_"
PUBLICATION = "lastmile_events"
_LOCK = 0x4C4D_0002  # any number that nobody else locks

# The views of slots are short lists in memory: no index.
_FIND = """
SELECT slot_name, wal_status, invalidation_reason, active_pid, confirmed_flush_lsn - '0/0'::pg_lsn AS confirmed_bytes,
  CASE WHEN pg_is_in_recovery() THEN 0 ELSE coalesce(pg_current_wal_lsn() - restart_lsn, 0) END AS retained_bytes,
  CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_lsn() - '0/0'::pg_lsn END AS end_bytes
FROM pg_replication_slots
WHERE starts_with(slot_name, $1) AND slot_type = 'logical' AND database = current_database()
ORDER BY substr(slot_name, length($1) + 1)::bigint DESC
"""
_CREATE = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)"
_DROP = "SELECT pg_drop_replication_slot($1)"
# A table of a few rows.
_RECORD = "INSERT INTO relay.epochs (epoch, created_at) VALUES ($1, now()) ON CONFLICT DO NOTHING"
_NEWEST = "SELECT max(epoch) FROM relay.epochs"
_BEGUN = "SELECT begun_at IS NOT NULL FROM relay.epochs WHERE epoch = $1"
_BEGIN = "UPDATE relay.epochs SET begun_at = now() WHERE epoch = $1 AND begun_at IS NULL"


@dataclass(frozen=True, slots=True)
class EventSlot:
    """The slot as the server reports it."""

    name: str
    # 'reserved', 'extended', 'unreserved' (about to be lost) or 'lost'.
    wal_status: str
    invalidation_reason: str | None
    active_pid: int | None
    confirmed_lsn: int
    retained_bytes: int
    # The end of the log; 0 on a standby.
    end_lsn: int

    @property
    def epoch(self) -> int:
        """The number that its streams carry."""
        return int(self.name.removeprefix(PREFIX))


async def find_slots(connection: asyncpg.Connection) -> list[EventSlot]:
    """Return the database's event slots, newest epoch first."""
    rows = await connection.fetch(_FIND, PREFIX)
    return [
        EventSlot(
            row["slot_name"],
            row["wal_status"] or "lost",
            row["invalidation_reason"],
            row["active_pid"],
            int(row["confirmed_bytes"] or 0),
            int(row["retained_bytes"]),
            int(row["end_bytes"]),
        )
        for row in rows
    ]


async def ensure_first_epoch(dsn: str) -> None:
    """Make the slot of an installation's first epoch, before the first event; later ones are begun by hand.

    The role needs REPLICATION, and wal_level must be logical.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        if await connection.fetchval(_NEWEST) is not None:
            return
        slots = await find_slots(connection)
        if slots:  # made by one that died before it could say so
            await connection.execute(_RECORD, slots[0].epoch)
        else:
            await _make_epoch(connection)
    finally:
        await connection.close()


async def begin_epoch(connection: asyncpg.Connection) -> int:
    """Drop the slots there are and make a new one; return its epoch. Events that were not published are given up."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    for slot in await find_slots(connection):
        await connection.execute(_DROP, slot.name)
    return await _make_epoch(connection)


async def has_begun(connection: asyncpg.Connection, epoch: int) -> bool:
    """Whether streams of the epoch are known to have been kept by Redis."""
    return bool(await connection.fetchval(_BEGUN, epoch))


async def record_begun(connection: asyncpg.Connection, epoch: int) -> None:
    """Note that streams of the epoch are kept by Redis."""
    await connection.execute(_BEGIN, epoch)


async def _make_epoch(connection: asyncpg.Connection) -> int:
    newest = await connection.fetchval(_NEWEST) or 0
    # The clock, because a database restored to an earlier time no longer knows its later epochs.
    epoch = max(newest + 1, int(time.time()))
    await connection.execute(_CREATE, f"{PREFIX}{epoch}")
    await connection.execute(_RECORD, epoch)
    return epoch
