"""So many a second, and no more at once than a second's worth, or one."""

import time
from collections.abc import Callable


class Rate:
    """A bucket of tokens that fills steadily."""

    def __init__(self, per_s_max: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s_max
        # Less than a whole one would never be enough for one.
        self._tokens_max = max(1.0, per_s_max) if per_s_max > 0 else 0.0
        self._now_s = now_s
        self._tokens = self._tokens_max
        self._filled_at_s = now_s()

    def take(self) -> bool:
        """Count one, if it may be."""
        now_s = self._now_s()
        self._tokens = min(self._tokens_max, self._tokens + (now_s - self._filled_at_s) * self._per_s)
        self._filled_at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
