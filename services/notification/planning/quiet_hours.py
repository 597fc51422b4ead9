"""Quiet hours: when a recipient may be written to, by the clock on its wall."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one minute of the day until another, in a zone; equal ones mean none. May span midnight."""

    time_zone: str
    from_min: int
    until_min: int

    def next_allowed(self, now: datetime) -> datetime:
        """Return `now`, or when the quiet hours that it lies in end, in its own zone.

        A wall clock that is put forward or back in the night rings when it shows the minute, as everybody's does.
        """
        if self.from_min == self.until_min:
            return now
        local = now.astimezone(ZoneInfo(self.time_zone))
        minute = local.hour * 60 + local.minute
        if self.from_min < self.until_min:
            quiet, days = self.from_min <= minute < self.until_min, 0
        else:
            quiet = minute >= self.from_min or minute < self.until_min
            days = 1 if minute >= self.from_min else 0
        if not quiet:
            return now
        end = time(self.until_min // 60, self.until_min % 60)
        ends_at = datetime.combine(local.date() + timedelta(days=days), end, local.tzinfo)
        return max(now, ends_at.astimezone(now.tzinfo))
