"""Weekly partitions and what is forgotten, in PostgreSQL. The functions are in migration 0004."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import floor_at
from services.assignment.deliveries.lifecycle import TERMINAL

# Serves no index. Held by the session, so that it ends with a process that dies.
_LEAD = "SELECT pg_try_advisory_lock(hashtext('assignment.ensure_partitions'))"
_STOP_LEADING = "SELECT pg_advisory_unlock(hashtext('assignment.ensure_partitions'))"
# Serves no index: a setting of the transaction.
_LOCK_WAIT = "SELECT set_config('lock_timeout', $1, true)"
# These three read the catalogue; the second also counts the rows of each week that may go.
_MAKE = "SELECT assignment.make_partitions($1, $2)"
_DROP = "SELECT week, live FROM assignment.drop_old_partition($1, $2, $3::text[]::assignment.delivery_state[])"
_STATE = "SELECT missing, strays, oldest FROM assignment.partition_state($1, $2)"
# Served by delivery_references_by_delivery, and by deliveries_pkey for ids that are in no week.
_FORGET_REFERENCES = """
DELETE FROM assignment.delivery_references WHERE delivery_id = ANY (ARRAY(
  SELECT r.delivery_id FROM assignment.delivery_references r
  WHERE r.delivery_id >= $1 AND r.delivery_id < $2 AND NOT EXISTS (
    SELECT FROM assignment.deliveries d WHERE d.id = r.delivery_id AND d.id >= $1 AND d.id < $2)
  ORDER BY r.delivery_id LIMIT $3))
"""


@dataclass(frozen=True, slots=True)
class OldWeek:
    """A week that was to go, such as 2026w48: gone when `live` is 0, and else kept for so many live deliveries."""

    week: str
    live: int

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """The bounds of its ids; the upper one is in the next week."""
        starts = datetime.strptime(f"{self.week}-1", "%Gw%V-%u").replace(tzinfo=UTC)
        return floor_at(starts), floor_at(starts + timedelta(weeks=1))


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Partitions missing for the weeks to come, rows that are in no week, and the lowest id of the oldest week."""

    missing: tuple[str, ...]
    strays: int
    oldest: UUID


async def lead(connection: asyncpg.Connection) -> bool:
    """Say whether this session keeps house now; then until stop_leading()."""
    return bool(await connection.fetchval(_LEAD))


async def stop_leading(connection: asyncpg.Connection) -> None:
    """Let others keep house."""
    await connection.execute(_STOP_LEADING)


async def make_partitions(
    connection: asyncpg.Connection, at: datetime, weeks_ahead: int, lock_wait_ms: int
) -> Sequence[str]:
    """Make the partitions from the week before `at` to `weeks_ahead` after it that there are not; return their names.

    Raises asyncpg.LockNotAvailableError, having made nothing, when a table is locked for longer than `lock_wait_ms`.
    """
    async with connection.transaction():
        await connection.execute(_LOCK_WAIT, str(lock_wait_ms))
        return await connection.fetchval(_MAKE, at, weeks_ahead) or []


async def drop_old_week(
    connection: asyncpg.Connection, at: datetime, weeks_kept: int, lock_wait_ms: int
) -> list[OldWeek]:
    """Drop the oldest week that ended `weeks_kept` weeks before `at`, if all its deliveries have ended.

    Returns the week that went, and before it those that stay for their live deliveries. As many later weeks must hold
    deliveries: a clock that jumps ahead has no such weeks to show. Raises asyncpg.LockNotAvailableError as above.
    """
    async with connection.transaction():
        await connection.execute(_LOCK_WAIT, str(lock_wait_ms))
        rows = await connection.fetch(_DROP, at, weeks_kept, [state.value for state in TERMINAL])
    return [OldWeek(row["week"], row["live"]) for row in rows]


async def partition_state(connection: asyncpg.Connection, at: datetime, weeks_needed: int) -> PartitionState:
    """Look whether the week of `at` and `weeks_needed` after it have their partitions."""
    row = await connection.fetchrow(_STATE, at, weeks_needed)
    return PartitionState(tuple(row["missing"]), row["strays"], row["oldest"])


async def forget_references(connection: asyncpg.Connection, low: UUID, high: UUID, rows_max: int) -> int:
    """Free up to `rows_max` references of deliveries from `low` to `high` that are gone; return how many there were."""
    return int((await connection.execute(_FORGET_REFERENCES, low, high, rows_max)).split()[-1])
