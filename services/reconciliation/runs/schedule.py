"""When runs are opened: every so often, or once a day at a time. Pure: one is the other with another schedule."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EVERY = re.compile(r"every (?P<seconds>[1-9][0-9]{0,6})s")
_DAILY = re.compile(
    r"daily (?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?P<sign>[+-])(?P<oh>[01][0-9]):(?P<om>[0-5][0-9])"
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Moments that are `step` apart; one of them is `phase` after the beginning of 1970. No step is never."""

    step: timedelta | None
    phase: timedelta = timedelta()

    def last_due(self, now: datetime) -> datetime | None:
        """Return the latest moment that is not after `now`."""
        if self.step is None:
            return None
        since = now - _EPOCH - self.phase
        return _EPOCH + self.phase + since // self.step * self.step

    def is_due(self, last_opened_at: datetime | None, now: datetime) -> bool:
        """Return whether a moment has come since the last run was opened."""
        due = self.last_due(now)
        return due is not None and (last_opened_at is None or last_opened_at < due)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str) -> Schedule:
    """Return the schedule that is "never", "every 300s", or "daily 01:30+05:30"; ValueError for anything else."""
    if text == "never":
        return Schedule(None)
    if every := _EVERY.fullmatch(text):
        return Schedule(timedelta(seconds=int(every["seconds"])))
    if daily := _DAILY.fullmatch(text):
        offset = timedelta(hours=int(daily["oh"]), minutes=int(daily["om"]))
        local = timedelta(hours=int(daily["hour"]), minutes=int(daily["minute"]))
        return Schedule(timedelta(days=1), local - (offset if daily["sign"] == "+" else -offset))
    raise ValueError(f"{text!r:.60} is no schedule: write never, every 300s, or daily 01:30+05:30")
