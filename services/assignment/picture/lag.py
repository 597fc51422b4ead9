"""Whether what is committed gets published: events that do not come cannot say so themselves."""

import time
from collections import deque

import asyncpg

from libs.postgres.event_slot import find_slots
from services.assignment.picture import store


class PublishingLag:
    """Watches how far the events' replication slot is behind the log."""

    def __init__(self, lag_s_max: float) -> None:
        self._lag_s_max = lag_s_max
        self._marks: deque[tuple[float, int]] = deque()
        self.published_lsn = 0

    @property
    def is_behind(self) -> bool:
        """Whether something that was committed longer ago than may be is not published."""
        return bool(self._marks) and time.monotonic() - self._marks[0][0] > self._lag_s_max

    async def look(self, connection: asyncpg.Connection) -> float:
        """Take in where the log and the slot are; return the database's time, in seconds since 1970."""
        lsn, now_s = await store.log_position(connection)
        slots = await find_slots(connection)
        self.published_lsn = slots[0].confirmed_lsn if slots else 0
        while self._marks and self._marks[0][1] <= self.published_lsn:
            self._marks.popleft()
        self._marks.append((time.monotonic(), lsn))
        return now_s
