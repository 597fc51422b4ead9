"""Turns: so many at once, so many more may wait, and none of them for long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turns:
    """Gives out turns, or raises what `refusal` makes when there are too many or it takes too long."""

    def __init__(self, at_once_max: int, waiting_max: int, wait_ms_max: int, refusal: Callable[[], Exception]) -> None:
        self._free = asyncio.Semaphore(at_once_max)
        self._left = at_once_max
        self._waiting_max = waiting_max
        self._wait_s_max = wait_ms_max / 1000
        self._refusal = refusal
        self._waiting = 0

    @property
    def left(self) -> int:
        """How many turns nobody holds."""
        return self._left

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn for the block."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1
            self._free.release()

    async def _wait(self) -> None:
        if self._waiting >= self._waiting_max:
            raise self._refusal()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s_max):
                await self._free.acquire()
        except TimeoutError:
            raise self._refusal() from None
        finally:
            self._waiting -= 1
