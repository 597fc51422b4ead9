"""Things by the time at which they are due. Pure."""

from bisect import bisect_right, insort
from uuid import UUID

_ID_MAX = UUID(int=(1 << 128) - 1)


class DueQueue:
    """Ids with times in seconds since 1970, earliest first, equal times by id."""

    def __init__(self) -> None:
        self._times: dict[UUID, float] = {}
        self._order: list[tuple[float, UUID]] = []

    def __len__(self) -> int:
        return len(self._order)

    def put(self, identifier: UUID, at_s: float) -> None:
        """Set when it is due."""
        if self._times.get(identifier) != at_s:
            self.drop(identifier)
            self._times[identifier] = at_s
            insort(self._order, (at_s, identifier))

    def drop(self, identifier: UUID) -> None:
        """Forget it, if it is there."""
        at_s = self._times.pop(identifier, None)
        if at_s is not None:
            place = bisect_right(self._order, (at_s, identifier)) - 1
            del self._order[place]

    def count_due(self, now_s: float) -> int:
        """Return how many are due."""
        return bisect_right(self._order, (now_s, _ID_MAX))

    def due(self, now_s: float, most: int) -> list[UUID]:
        """Return up to `most` that are due, longest first."""
        return [identifier for _, identifier in self._order[: min(most, self.count_due(now_s))]]

    def time_s(self, place: int) -> float | None:
        """Return when the one at `place`, from 0, is due; None when there are not so many."""
        return self._order[place][0] if place < len(self._order) else None
