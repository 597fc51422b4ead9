"""What a service says of a cached answer, so that whoever passed it on may give it again without asking for it anew.

The rules are the cache's own: an answer is good while its tag is not beyond its position, or while it is a moment old
only, within its window, and in the history and the run of Redis that it was kept in. Whoever looks needs the same Redis
and a clock of the same primary; with others it is never good.
"""

from dataclasses import dataclass

from libs.cache.entries import CACHE, checked, tag_key
from libs.cache.link import CacheAwayError, CacheLink
from libs.grpc_server.call import Origin
from libs.postgres.log_clock import LogClock

# The trailing metadata that says it.
METADATA = "answer-reuse"


@dataclass(frozen=True, slots=True)
class Reusable:
    """Until when an answer is good. `era` names the history of its position and the run of Redis."""

    position: int
    window_ms: int
    era: str
    tag: str

    def text(self) -> str:
        """Return what goes into metadata."""
        return f"{self.position:x} {self.window_ms} {self.era} {self.tag}"

    @classmethod
    def of(cls, text: str) -> "Reusable | None":
        """Return what a text says; None when it says nothing that is understood here."""
        parts = text.split(" ", 3)
        if len(parts) != 4:
            return None
        try:
            return cls(int(parts[0], 16), int(parts[1]), parts[2], parts[3])
        except ValueError:
            return None


class Reuse:
    """Finds out whether an answer is still good. Run `link` and `clock`."""

    def __init__(self, link: CacheLink, clock: LogClock, outdated_ms_max: int) -> None:
        """`outdated_ms_max` is the age up to which an outdated answer is still good, for who asks for no position."""
        self._link = link
        self._clock = clock
        self._outdated_ms_max = outdated_ms_max

    async def origin_of(self, reusable: Reusable, wanted: int) -> Origin | None:
        """Return how old the answer is now, for who asks for what covers the position `wanted`; None: ask the service.

        None also where nobody can tell, as Redis is away or the primary has not been seen yet.
        """
        behind_ms = self._clock.behind_ms(reusable.position)
        if behind_ms is None or behind_ms > reusable.window_ms or reusable.position < wanted:
            return None
        if reusable.era != era_of(self._clock, self._link):
            return None
        try:
            (tag,) = checked(await self._link.ask(("GET", tag_key(reusable.tag))))
        except CacheAwayError:
            return None
        if tag is None or not self._is_good(reusable.position, int(tag, 16)):
            return None
        return Origin(CACHE, reusable.position, self._clock.age_ms(reusable.position))

    def _is_good(self, position: int, outdated_from: int) -> bool:
        if outdated_from <= position:
            return True
        # The tag knows the newest change alone, and where there is one every second that is always a moment ago: the
        # first that the answer lacks may be as old as the answer. Counted until now, and not until the primary was
        # seen last: while it is away, nothing is good for ever.
        age_ms = self._clock.age_ms(position)
        return age_ms is not None and age_ms <= self._outdated_ms_max


def era_of(clock: LogClock, link: CacheLink) -> str:
    """Return the history that positions are of, and the run of Redis: what was kept in another is good for nothing."""
    return f"{clock.history}/{link.run_id}"
