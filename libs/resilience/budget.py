"""Retries are a share of calls: when everything fails, retrying everything would double what is asked of it."""


class RetryBudget:
    """A bucket that every call fills a little, and every retry takes one from."""

    def __init__(self, share_max: float, saved_max: int) -> None:
        self._share_max = share_max
        self._saved_max = saved_max
        self._saved = float(saved_max)

    def called(self) -> None:
        """Count a call."""
        self._saved = min(self._saved_max, self._saved + self._share_max)

    def take(self) -> bool:
        """Count a retry, if there may be one."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
