"""How much this process keeps in Redis at once: streams and positions live there too, and must not run out of room."""

import heapq
import time
from collections.abc import Callable

# What an entry takes in Redis beside its answer: its key, its fields and when it expires. Most lists are empty.
ENTRY_BYTES = 400


class KeptBytes:
    """The sizes of the answers that were kept here and have not expired."""

    def __init__(self, bytes_max: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._bytes_left = bytes_max
        self._now_s = now_s
        self._sizes: dict[str, int] = {}
        # (when it expires, key, size): what was kept again since has another entry.
        self._ends: list[tuple[float, str, int]] = []
        self._last_end_s: dict[str, float] = {}

    def add(self, key: str, size: int, ttl_s: float) -> bool:
        """Count an answer, in place of an earlier one; return whether there is room for it."""
        now_s = self._now_s()
        while self._ends and self._ends[0][0] <= now_s:
            ended_s, ended_key, _ = heapq.heappop(self._ends)
            if self._last_end_s.get(ended_key) == ended_s:
                self._bytes_left += self._sizes.pop(ended_key)
                del self._last_end_s[ended_key]
        size += ENTRY_BYTES
        more = size - self._sizes.get(key, 0)
        if more > self._bytes_left:
            return False
        self._bytes_left -= more
        self._sizes[key], self._last_end_s[key] = size, now_s + ttl_s
        heapq.heappush(self._ends, (now_s + ttl_s, key, size))
        return True
