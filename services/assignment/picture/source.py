"""The database as pictures use it: few whole cities are read at once, and its time is known without asking it.

What is due is stored by the database's clock, and hosts' clocks differ.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


class Source:
    """The primary, for all cities of a process.

    Until a time was taken in, its clock is taken for this host's; steps of the host's make no difference after that.
    """

    def __init__(self, primary: asyncpg.Pool, reads_at_once_max: int = 1) -> None:
        self.primary = primary
        self._reads = asyncio.Semaphore(reads_at_once_max)
        self._ahead_s = time.time() - time.monotonic()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a whole city may be read: however many want to, commands keep the primary."""
        async with self._reads:
            yield

    def now_s(self) -> float:
        """Return seconds since 1970 by the database's clock."""
        return time.monotonic() + self._ahead_s

    def set_time(self, database_s: float) -> None:
        """Take in what the database has just said its time is."""
        self._ahead_s = database_s - time.monotonic()
