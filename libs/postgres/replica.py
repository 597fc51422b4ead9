"""Queries on the hot standby, and on the primary only as a bounded exception.

A command's answer carries a consistency token: the write-ahead log position after its commit. A query that presents
it waits briefly for the standby to have replayed that far, and otherwise asks the primary.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

log = logging.getLogger("postgres")

# Serves no index: one function call.
_REPLAYED = "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
# Flushed covers every commit. Inserted would also cover records that nobody committed yet, which may wait for seconds
# before they are sent, and a standby never replays what it was not sent.
_POSITION = "SELECT pg_current_wal_flush_lsn()::text"


class ReplicaLimits(BaseModel):
    """How long a query waits for its own write to reach the standby."""

    model_config = ConfigDict(frozen=True)

    replay_wait_ms_max: int = Field(200, ge=0, description="Longest wait for the standby to replay a caller's write")
    replay_poll_ms: int = Field(5, gt=0, description="Time between looks at the standby's position")
    primary_queries_max: int = Field(4, gt=0, description="Queries that may ask the primary at once")


async def position(connection: asyncpg.Connection | asyncpg.Pool) -> str:
    """Return the consistency token of what is committed now; call it after the commit, on the primary."""
    return str(await connection.fetchval(_POSITION))


class QueryPool:
    """Gives connections for queries: to the standby, or to the primary when the standby lags behind a token."""

    def __init__(self, standby: asyncpg.Pool, primary: asyncpg.Pool, limits: ReplicaLimits) -> None:
        self._standby = standby
        self._primary = primary
        self._limits = limits
        self._primary_slots = asyncio.Semaphore(limits.primary_queries_max)
        self.primary_queries = 0

    @asynccontextmanager
    async def acquire(self, token: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection that has replayed `token`, if one is given."""
        async with self._standby.acquire() as connection:
            if token is None or await self._replayed(connection, token):
                yield connection
                return
        self.primary_queries += 1
        log.warning("query sent to the primary", extra={"consistency_token": token, "total": self.primary_queries})
        async with self._primary_slots, self._primary.acquire() as connection:
            yield connection

    async def _replayed(self, connection: asyncpg.Connection, token: str) -> bool:
        deadline = time.monotonic() + self._limits.replay_wait_ms_max / 1000
        while not await connection.fetchval(_REPLAYED, token):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(self._limits.replay_poll_ms / 1000)
        return True
