"""The database's time, without asking it: what is due is stored by its clock, and hosts' clocks differ."""

import time


class DatabaseClock:
    """Until it was first set, this host's."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now_s(self) -> float:
        """Return seconds since 1970 by the database's clock."""
        return time.time() + self._ahead_s

    def set(self, database_s: float) -> None:
        """Take in what the database has just said its time is."""
        self._ahead_s = database_s - time.time()
