"""Queries on the hot standby, and on the primary only as a bounded exception.

A command's answer carries a consistency token: the write-ahead log position after its commit. A query that presents it
waits briefly for the standby to have replayed that far, and otherwise asks the primary, for which there is a small
budget. The budget also serves while no standby answers. What goes beyond it is refused, and commands never notice:
queries log in as roles of their own, through pools of their own.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.grpc_server.call import PRIMARY, Origin
from libs.postgres import metrics
from libs.postgres.errors import ConsistencyTokenUnknownError, PrimaryBudgetSpentError, QueriesTooManyError
from libs.postgres.log_clock import LogClock
from libs.postgres.outages import CONNECTION_LOST
from libs.postgres.replay import ReplayWatch
from libs.postgres.tenancy import Visibility
from libs.resilience.rate import Rate
from libs.resilience.turns import Turns
from libs.telemetry import error_text

log = logging.getLogger("postgres")

# Serves no index: settings of the transaction. And where the standby's replay is, or NULL on a primary: read before
# the snapshots of the statements to come, which therefore see all that is replayed by then.
_BEGIN = """
SELECT set_config('role', $1, true), set_config('lastmile.merchant_ids', $2, true),
  CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END
"""
STANDBY = "standby"
# A standby ends a transaction that is in the way of replaying.
_AWAY = (*CONNECTION_LOST, asyncpg.InsufficientResourcesError, asyncpg.TransactionRollbackError)


class ReplicaLimits(BaseModel):
    """How long a query waits for its own write to reach the standby, and what the primary does for queries."""

    model_config = ConfigDict(frozen=True)

    queries_waiting_max: int = Field(
        500, ge=0, description="Queries that may wait for one of the standby's connections"
    )
    query_wait_ms_max: int = Field(2_000, ge=0, description="Longest wait for one of the standby's connections")
    replay_wait_ms_max: int = Field(500, ge=0, description="Longest wait for the standby to replay a caller's write")
    replay_poll_ms: int = Field(5, gt=0, description="Time between looks at the standby's position")
    standby_begin_s: float = Field(
        4.0, gt=0, description="The standby is away when a transaction takes longer to begin"
    )
    standby_retry_ms: int = Field(500, gt=0, description="Time between tries of a standby that is away")
    primary_queries_max: int = Field(4, gt=0, description="Queries that may ask the primary at once")
    primary_queries_per_s_max: int = Field(50, ge=1, description="Queries that may ask the primary in a second")
    primary_waiting_max: int = Field(50, ge=0, description="Queries that may wait for their turn on the primary")
    primary_wait_ms_max: int = Field(500, ge=0, description="Longest wait for a turn on the primary")
    single_server: bool = Field(
        False, description="Queries may log in to a server that takes writes: only where there is no standby at all"
    )


class NoStandbyError(Exception):
    """The server for queries takes writes: the DSN names the primary, or the standby was promoted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A transaction of a query. `position` is covered by what it sees; None on the primary, whose answers are new."""

    connection: asyncpg.Connection
    position: int | None


class QueryPool:
    """Gives transactions for queries: on the standby, or on the primary where the standby cannot serve."""

    def __init__(self, standby: asyncpg.Pool, fallback: asyncpg.Pool, clock: LogClock, limits: ReplicaLimits) -> None:
        """`fallback` logs in to the primary as a role of queries with a limit of its own. Run `clock` and `watch`."""
        self.clock = clock
        self.is_up = True
        self._standby = standby
        self._fallback = fallback
        self._limits = limits
        self._replay = ReplayWatch(standby, limits.replay_poll_ms)
        # One connection is left for the watch. Whoever has a turn never waits for another query's connection, so that
        # a long wait for one says that the server is away, and not that it is busy.
        at_once_max = max(1, standby.get_max_size() - 1)
        self._turns = Turns(at_once_max, limits.queries_waiting_max, limits.query_wait_ms_max, QueriesTooManyError)
        self._primary_rate = Rate(limits.primary_queries_per_s_max)
        self._primary_turns = Turns(
            limits.primary_queries_max, limits.primary_waiting_max, limits.primary_wait_ms_max, PrimaryBudgetSpentError
        )

    async def check(self) -> None:
        """Raise NoStandbyError when the server for queries answers and is no standby; call it at the start."""
        try:
            async with self._transaction(Visibility("none")):
                self.is_up = True
        except _AWAY as error:
            self._lost(error)

    async def check_any(self) -> None:
        """Raise when neither the standby nor the primary answers a query; for readiness checks."""
        async with self.reading(Visibility("none")):
            return

    async def watch(self) -> None:
        """Look after a standby that is away, until cancelled: no query has to find out whether it is back."""
        while True:
            await asyncio.sleep(self._limits.standby_retry_ms / 1000)
            if self.is_up:
                continue
            try:
                await self.check()
            except NoStandbyError as error:
                self._lost(error)
            if self.is_up:
                log.info("the standby answers")

    @asynccontextmanager
    async def reading(self, visibility: Visibility, wanted: int = 0, hoped_for: int = 0) -> AsyncIterator[Reading]:
        """Run a reading transaction that sees what `visibility` allows.

        It has replayed `wanted`, whatever that takes; for `hoped_for` it waits as long and then takes what there is.
        Raises QueriesTooManyError, PrimaryBudgetSpentError, and ConsistencyTokenUnknownError for a position that the
        primary itself has not come to: nobody was given it, and waiting for it is no reason to ask the primary.
        """
        began_s = time.monotonic()
        async with AsyncExitStack() as stack:
            reading = await self._on_standby(stack, visibility, wanted, hoped_for) if self.is_up else None
            if reading is None:
                if self.clock.has_not_come_to(wanted, began_s):
                    raise ConsistencyTokenUnknownError
                why = "behind" if self.is_up else "standby_away"
                reading = await stack.enter_async_context(self.reading_primary(visibility, why))
            yield reading

    def origin_of(self, reading: Reading) -> Origin:
        """Return where what was read comes from, and how old it is now."""
        if reading.position is None:
            return Origin(PRIMARY)
        return Origin(STANDBY, reading.position, self.clock.age_ms(reading.position))

    async def _on_standby(
        self, stack: AsyncExitStack, visibility: Visibility, wanted: int, hoped_for: int
    ) -> Reading | None:
        """Begin on the standby, or return None where it is away or behind `wanted`."""
        target = max(wanted, hoped_for)
        deadline_s = time.monotonic() + self._limits.replay_wait_ms_max / 1000
        while True:
            reached = await self._replay.reach(target, deadline_s - time.monotonic())
            if not reached and self._replay.position < wanted:
                return None
            attempt = AsyncExitStack()
            try:
                reading = await attempt.enter_async_context(self._transaction(visibility))
            except (*_AWAY, NoStandbyError) as error:
                self._lost(error)
                return None
            if reading.position is None or reading.position >= wanted:
                await stack.enter_async_context(attempt)
                return reading
            # Behind one DSN there may be several standbys, and this is another one than was seen last.
            await attempt.aclose()
            if time.monotonic() >= deadline_s:
                return None

    @asynccontextmanager
    async def _transaction(self, visibility: Visibility) -> AsyncIterator[Reading]:
        begin_s = self._limits.standby_begin_s
        async with self._turns.turn(), self._standby.acquire(timeout=begin_s) as connection:
            transaction = connection.transaction(readonly=True)
            try:
                async with asyncio.timeout(begin_s):
                    await transaction.start()
                    position = await _choose(connection, visibility)
                self._check_is_standby(position)
            except BaseException:
                connection.terminate()
                raise
            if position is not None:
                self._replay.note(position)
            try:
                yield Reading(connection, position)
            finally:
                if not connection.is_closed():
                    await transaction.rollback()

    @asynccontextmanager
    async def reading_primary(self, visibility: Visibility, why: str) -> AsyncIterator[Reading]:
        """Run a reading transaction on the primary, within the budget for that; `why` is counted.

        Raises PrimaryBudgetSpentError.
        """
        try:
            self._spend()
            async with self._primary_turns.turn(), self._fallback.acquire() as connection:
                metrics.PRIMARY_QUERIES.labels(why).inc()
                async with connection.transaction(readonly=True):
                    await _choose(connection, visibility)
                    yield Reading(connection, None)
        except PrimaryBudgetSpentError:
            metrics.PRIMARY_REFUSED.inc()
            raise

    def _check_is_standby(self, position: int | None) -> None:
        if position is None and not self._limits.single_server:
            raise NoStandbyError("the server for queries takes writes: name a standby in its DSN")

    def _spend(self) -> None:
        if not self._primary_rate.take():
            raise PrimaryBudgetSpentError

    def _lost(self, error: Exception) -> None:
        if self.is_up:
            self.is_up = False
            log.warning("no standby answers", extra={"error": error_text(error)})


async def _choose(connection: asyncpg.Connection, visibility: Visibility) -> int | None:
    row = await connection.fetchrow(_BEGIN, visibility.role, ",".join(visibility.merchant_ids))
    return None if row[2] is None else int(row[2])
