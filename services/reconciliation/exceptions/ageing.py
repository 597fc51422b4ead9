"""How old cases are: buckets of days, from the run that found them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Age:
    """The cases of one class in one bucket, from so many days on, until so many; None for no end."""

    kind: str
    days_from: int
    days_until: int | None
    cases: int
    # What is at stake.
    paise: int

    @property
    def name(self) -> str:
        """Such as 1-3, or 30+."""
        return f"{self.days_from}+" if self.days_until is None else f"{self.days_from}-{self.days_until}"


def edges_s(days: Sequence[int]) -> list[int]:
    """Return where buckets meet, in seconds."""
    return [day * DAY_S for day in days]


def age_of(days: Sequence[int], place: int, kind: str, cases: int, paise: int) -> Age:
    """Return the bucket that has `place` of the edges at or below it."""
    bounds = [0, *days]
    return Age(kind, bounds[place], days[place] if place < len(days) else None, cases, paise)
