"""Notices that the clock was set: how long something lasts is no matter of what time it is."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """The time of day, and by how much it was set from one look to the next."""

    def __init__(self, now: Callable[[], datetime] = _now, ticks_s: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ticks_s = ticks_s
        self._last = (now(), ticks_s())

    def look(self) -> tuple[datetime, timedelta]:
        """Return what time it is, and by how much the clock was set forward since the last look."""
        before, before_s = self._last
        now, now_s = self._last = (self._now(), self._ticks_s())
        return now, now - before - timedelta(seconds=now_s - before_s)
