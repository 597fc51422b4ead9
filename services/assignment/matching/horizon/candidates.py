"""Which partners each pickup is tried with: all of them where there are few, else the nearest idle and busy ones."""

import numpy as np
from scipy.spatial import cKDTree

from services.assignment.matching.horizon.day import Ints
from services.assignment.matching.horizon.situation import Situation

PAIRS_MAX = 12_000


class Candidates:
    """For each of some pickups, the partners to try, nearest first."""

    def __init__(self, seen: Situation, pickups: Ints, near: int, units_at: Ints) -> None:
        """pickups: (p,) without repeats; units_at: (p,) how many units wait there. near: at least so many partners."""
        partners = seen.partners
        self._row = {int(pickup): row for row, pickup in enumerate(pickups)}
        if len(pickups) * len(partners) <= PAIRS_MAX:
            self._lists = [partners] * len(pickups)
            return
        idle = seen.free_min[partners] <= seen.now_min
        parts = []
        targets = seen.day.flat(seen.day.pickup_place[pickups])
        for group in (partners[idle], partners[~idle]):
            count = min(len(group), max(near, int(units_at.max(initial=0)) * 2))
            if count:
                _, found = cKDTree(seen.day.flat(seen.place[group])).query(targets, k=np.arange(1, count + 1))
                parts.append(group[found])
        everyone = np.hstack(parts) if parts else np.empty((len(pickups), 0), dtype=np.int64)
        self._lists = list(everyone)

    def pairs(self, pickups: Ints) -> tuple[Ints, Ints]:
        """Return (unit, partner) index arrays for units at these pickups (u,)."""
        lists = [self._lists[self._row[int(pickup)]] for pickup in pickups]
        unit = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        return unit, np.concatenate(lists) if lists else np.empty(0, dtype=np.int64)
