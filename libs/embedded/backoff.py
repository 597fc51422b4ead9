"""How long to wait before a process that died is started again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class BackoffPolicy:
    """Doubling waits between `min_s` and `max_s`, each shortened by up to half at random so that restarts spread."""

    min_s: float
    max_s: float
    stable_run_s: float

    def failures_after(self, failures: int, ran_s: float) -> int:
        """The failures in a row, now that a process that ran for `ran_s` seconds has died once more."""
        return 1 if ran_s >= self.stable_run_s else failures + 1

    def delay_s(self, failures: int, source: random.Random) -> float:
        """The wait before the next start, after `failures` (1 or more) failures in a row."""
        doublings = min(failures - 1, 32)
        return float(min(self.max_s, self.min_s * 2**doublings) * source.uniform(0.5, 1.0))
