"""What the attempts of the last seconds came to, counted in slices of time: old ones go by themselves."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, count

WINDOW_S = 10
_RATIO = 1.25
# Upper bounds of the counted durations, each a quarter above the one before, from 1 ms to more than a minute.
_BOUNDS_MS = tuple(_RATIO**power for power in range(51))


@dataclass(frozen=True, slots=True)
class RecentCalls:
    """Attempts that ended within `window_ms`, and those under way.

    `failures` are those that count against the dependency. `p99_ms` is at most a quarter too high; 0 without attempts.
    `silent_ms` is for how long attempts have been under way and none was answered.
    """

    window_ms: int = WINDOW_S * 1000
    calls: int = 0
    failures: int = 0
    p99_ms: int = 0
    under_way: int = 0
    silent_ms: int = 0


@dataclass(slots=True)
class _Slice:
    second: int
    calls: int = 0
    failures: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_MS) + 1))


class Recent:
    """Counts the attempts of one dependency in one process."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._slices: deque[_Slice] = deque()
        self._names = count()
        self._under_way: dict[int, float] = {}
        self._silent_since_s: float | None = None
        self._ended_at_s = float("-inf")

    def begin(self) -> int:
        """Count an attempt as under way; return its name."""
        now_s = self._now_s()
        idle = not self._under_way and now_s - self._ended_at_s > WINDOW_S
        if self._silent_since_s is None or idle:
            self._silent_since_s = now_s
        name = next(self._names)
        self._under_way[name] = now_s
        return name

    def end(self, name: int, *, answered: bool, failed: bool) -> None:
        """Count what an attempt came to."""
        now_s = self._now_s()
        began_at_s = self._under_way.pop(name)
        self._ended_at_s = now_s
        if answered:
            self._silent_since_s = now_s if self._under_way else None
        self._forget(now_s)
        if not self._slices or self._slices[-1].second != int(now_s):
            self._slices.append(_Slice(int(now_s)))
        current = self._slices[-1]
        current.calls += 1
        current.failures += failed
        current.durations[bisect_left(_BOUNDS_MS, (now_s - began_at_s) * 1000)] += 1

    def withdraw(self, name: int) -> None:
        """Forget an attempt that came to nothing that tells of the dependency."""
        del self._under_way[name]
        if not self._under_way and self._now_s() - self._ended_at_s > WINDOW_S:
            self._silent_since_s = None

    def summary(self) -> RecentCalls:
        """Return what is known now."""
        now_s = self._now_s()
        self._forget(now_s)
        calls = sum(part.calls for part in self._slices)
        since_s = self._silent_since_s
        silent_ms = round((now_s - since_s) * 1000) if self._under_way and since_s is not None else 0
        failures = sum(part.failures for part in self._slices)
        return RecentCalls(WINDOW_S * 1000, calls, failures, self._p99_ms(calls), len(self._under_way), silent_ms)

    def _p99_ms(self, calls: int) -> int:
        if not calls:
            return 0
        sums = accumulate(map(sum, zip(*(part.durations for part in self._slices), strict=True)))
        place = next(index for index, total in enumerate(sums) if total * 100 >= calls * 99)
        return round(_BOUNDS_MS[min(place, len(_BOUNDS_MS) - 1)])

    def _forget(self, now_s: float) -> None:
        while self._slices and self._slices[0].second <= now_s - WINDOW_S:
            self._slices.popleft()
