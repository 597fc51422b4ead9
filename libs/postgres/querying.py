"""The whole read side of a process: its pools, its clock, and what looks after them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from libs.postgres.log_clock import ClockLimits, LogClock
from libs.postgres.pool import PoolLimits, create_pool
from libs.postgres.replica import QueryPool, ReplicaLimits


@dataclass(frozen=True, slots=True)
class QueryServers:
    """Where queries go, and as whom: the standby, the primary as the fallback's role, and the primary to watch."""

    standby_dsn: str
    fallback_dsn: str
    primary_dsn: str


@asynccontextmanager
async def querying(
    servers: QueryServers,
    name: str,
    standby_limits: PoolLimits,
    fallback_limits: PoolLimits,
    clock_limits: ClockLimits,
    limits: ReplicaLimits,
) -> AsyncIterator[QueryPool]:
    """Yield the pool for queries; `name` begins what its connections are called.

    Raises NoStandbyError when the DSN of the standby names a server that takes writes. One that does not answer may
    come later.
    """
    async with (
        await create_pool(servers.standby_dsn, standby_limits, f"{name}-query") as standby,
        await create_pool(servers.fallback_dsn, fallback_limits, f"{name}-fallback") as fallback,
    ):
        queries = QueryPool(standby, fallback, LogClock(clock_limits), limits)
        await queries.check()
        async with asyncio.TaskGroup() as group:
            looking_after = [
                group.create_task(queries.clock.run(servers.primary_dsn, f"{name}-clock")),
                group.create_task(queries.watch()),
            ]
            try:
                yield queries
            finally:
                for task in looking_after:
                    task.cancel()
