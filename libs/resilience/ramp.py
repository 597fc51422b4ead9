"""A growing share of calls: what has just come back is not run over by everything that waited for it."""


class Ramp:
    """Lets a share through that grows steadily from `share_min` to all within `return_ms`."""

    def __init__(self, share_min: float, return_ms: int, began_at_s: float) -> None:
        self._share_min = share_min
        self._return_s = return_ms / 1000
        self._began_at_s = began_at_s
        self._credit = 1.0

    def share(self, now_s: float) -> float:
        """Return the share that is let through now: from `share_min` to 1."""
        if self._return_s <= 0:
            return 1.0
        grown = max(0.0, now_s - self._began_at_s) / self._return_s
        return min(1.0, self._share_min + (1 - self._share_min) * grown)

    def admit(self, now_s: float) -> bool:
        """Count a call; return whether it is among those let through. Evenly: 0.25 is every fourth."""
        if self._credit < 1:
            self._credit += self.share(now_s)
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
