"""A standby that falls behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from libs.embedded.stack import EmbeddedServers, RunningStack


@asynccontextmanager
async def replay_paused(servers: EmbeddedServers | RunningStack) -> AsyncIterator[None]:
    """Have the standby receive and not replay for the block."""
    connection = await asyncpg.connect(servers.dsn(standby=True))
    try:
        await connection.execute("SELECT pg_wal_replay_pause()")
        while await connection.fetchval("SELECT pg_get_wal_replay_pause_state()") != "paused":
            pass
        yield
    finally:
        await connection.execute("SELECT pg_wal_replay_resume()")
        await connection.close()
