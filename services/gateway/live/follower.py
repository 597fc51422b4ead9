"""One stream's place among the events, and why it ends or begins anew."""

import asyncio
from collections import deque
from contextlib import suppress
from enum import StrEnum

from services.gateway.live.audience import Audience
from services.gateway.live.codec import LiveEvent
from services.gateway.live.position import Position


class End(StrEnum):
    """Why a stream ends."""

    LAGGING = "LAGGING"
    CREDENTIAL_ENDED = "CREDENTIAL_ENDED"
    STOPPING = "STOPPING"


class Reset(StrEnum):
    """Why a client has to load anew what it shows."""

    TRIMMED = "TRIMMED"
    OTHER_EPOCH = "OTHER_EPOCH"
    TOO_FAR = "TOO_FAR"
    NOT_RESUMABLE = "NOT_RESUMABLE"


class Follower:
    """One stream's place among the events. What comes after `after` is queued."""

    def __init__(self, audience: Audience, after: Position, queued_max: int) -> None:
        self.audience = audience
        self.after = after
        self.end: End | None = None
        self.reset: Reset | None = None
        self._queue: deque[LiveEvent] = deque()
        self._queued_max = queued_max
        self._moved = asyncio.Event()

    def offer(self, event: LiveEvent) -> None:
        """Queue an event; one too many ends the stream, and frees what waits."""
        if self.end is not None or event.position <= self.after:
            return
        if len(self._queue) >= self._queued_max:
            self.close(End.LAGGING)
            return
        self._queue.append(event)
        self._moved.set()

    def begin_anew(self, reason: Reset, after: Position) -> None:
        """Have the client told that events are missing before what comes next."""
        self.reset, self.after = reason, after
        self._queue.clear()
        self._moved.set()

    def close(self, reason: End) -> None:
        """End the stream."""
        self.end = self.end or reason
        self._queue.clear()
        self._moved.set()

    def take(self) -> list[LiveEvent]:
        """Return what waits."""
        taken = list(self._queue)
        self._queue.clear()
        self._moved.clear()
        return taken

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to say."""
        return not self._queue and self.end is None and self.reset is None

    async def movement(self, timeout_s: float) -> None:
        """Wait until there is something, or for `timeout_s`."""
        # wait_for of Python 3.11 may swallow a cancellation that comes together with an event.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()
