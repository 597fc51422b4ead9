"""Waits for the standby to replay: one look at a time, for however many wait, so that they hold no connections."""

import asyncio
import time

import asyncpg

from libs.postgres.outages import NOT_ANSWERED

# Serves no index: one function call. NULL where there is no recovery.
_REPLAYED = "SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint WHERE pg_is_in_recovery()"


class ReplayWatch:
    """How far the standby has replayed, as far as is known."""

    def __init__(self, standby: asyncpg.Pool, poll_ms: int) -> None:
        self.position = 0
        self._standby = standby
        self._poll_s = poll_ms / 1000
        self._looking: asyncio.Task[None] | None = None

    def note(self, position: int) -> None:
        """Take in what a query has seen."""
        self.position = position

    async def reach(self, wanted: int, wait_s: float) -> bool:
        """Wait until the standby has replayed `wanted`, or for `wait_s`; return whether it has."""
        deadline_s = time.monotonic() + wait_s
        while self.position < wanted:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.wait({self._looking}, timeout=left_s)
        return True

    async def _look(self) -> None:
        await asyncio.sleep(self._poll_s)
        try:
            found = await self._standby.fetchval(_REPLAYED, timeout=1.0)
        except NOT_ANSWERED:
            # Whoever begins a transaction finds out what is the matter.
            return
        if found is not None:
            self.note(found)
