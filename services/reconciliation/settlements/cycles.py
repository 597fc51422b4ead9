"""When cycles end: weekly, daily or every so many days, at a time of local clocks. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CYCLE_DAYS_MAX = 92
_CLOCK = r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?P<sign>[+-])(?P<oh>[01][0-9]):(?P<om>[0-5][0-9])"
_FORMS = (
    re.compile(rf"weekly (?P<day>{'|'.join(DAYS)}) {_CLOCK}"),
    re.compile(rf"daily {_CLOCK}"),
    re.compile(rf"every (?P<days>[1-9][0-9]?) days {_CLOCK}"),
)
# A Monday; cycles of several days are counted from it.
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Cycles of equal length; one ends `phase` after Monday the 5th of January 1970. No length is never."""

    length: timedelta | None
    phase: timedelta = timedelta()

    def last_end(self, at: datetime) -> datetime | None:
        """Return the latest end of a cycle that is not after `at`."""
        if self.length is None:
            return None
        start = _MONDAY + self.phase
        return start + (at - start) // self.length * self.length

    def due(self, last_until: datetime | None, now: datetime) -> tuple[datetime, datetime] | None:
        """Return the span of the next cycle when it has ended, or None.

        It begins where the last one ended, and ends at the first end after that; the first of all is the last whole
        one.
        """
        latest = self.last_end(now)
        if self.length is None or latest is None:
            return None
        if last_until is None:
            return latest - self.length, latest
        before = self.last_end(last_until)
        until = (before or last_until) + self.length
        return (last_until, until) if until <= now else None


def parse(text: str) -> Calendar:
    """Return the calendar that is "never", "daily 00:00+05:30", "weekly mon 00:00+05:30" or "every 3 days 00:00+05:30".

    ValueError for anything else. The offset is that of local clocks from UTC.
    """
    if text == "never":
        return Calendar(None)
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None or (days := _days_of(found.groupdict())) > CYCLE_DAYS_MAX:
        raise ValueError(
            f"{text!r:.60} is no cycle: write never, daily 00:00+05:30, weekly mon 00:00+05:30, or every 3 days "
            f"00:00+05:30, of at most {CYCLE_DAYS_MAX} days"
        )
    offset = timedelta(hours=int(found["oh"]), minutes=int(found["om"]))
    local = timedelta(hours=int(found["hour"]), minutes=int(found["minute"]))
    day = found.groupdict().get("day")
    weekday = timedelta(days=DAYS.index(day)) if day else timedelta()
    return Calendar(timedelta(days=days), weekday + local - (offset if found["sign"] == "+" else -offset))


def _days_of(parts: Mapping[str, str | None]) -> int:
    if parts.get("day"):
        return 7
    return int(parts.get("days") or 1)
