"""Orders that one partner takes in one visit: what they need, and in which order they are dropped.

The order of drops is found by cheapest insertion on the sum of drop times (Solomon 1987, doi:10.1287/opre.35.2.254).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.assignment.matching.horizon.day import Bools, Day, Floats, Ints
from services.assignment.matching.horizon.trips import drop_times, leg_min
from services.assignment.matching.horizon.tuning import Tuning

REMEMBERED_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Unit:
    """orders: in the order of their drops. after_min, end_min: from the counter to each drop, and until free again."""

    orders: tuple[int, ...]
    pickup: int
    ready_min: float
    after_min: tuple[float, ...]
    end_min: float


class Units:
    """Makes units, and remembers those it has made."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._made: dict[tuple[int, ...], Unit] = {}
        self._joined: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[int, ...]] = {}
        flat = day.flat(np.concatenate([day.drop_place, day.pickup_place])) / day.speed_m_per_min
        # One by one, numbers of Python are faster than those of numpy.
        self._placed, self._due, self._latest = day.placed_min.tolist(), day.due_min.tolist(), day.latest_min.tolist()
        self._flat: list[tuple[float, float]] = [(float(x), float(y)) for x, y in flat]

    def of(self, orders: tuple[int, ...]) -> Unit:
        """Return the unit of some orders of one pickup, dropped in this order."""
        unit = self._made.get(orders)
        if unit is None:
            if len(self._made) > REMEMBERED_MAX:
                self._made.clear()
                self._joined.clear()
            day, pickup = self._day, int(self._day.order_pickup[orders[0]])
            drops, end = drop_times(day, 0.0, leg_min(day, orders, pickup))
            ready = max(float(day.ready_min[order]) for order in orders)
            unit = self._made[orders] = Unit(orders, pickup, ready, tuple(drops), end)
        return unit

    def cost(self, unit: Unit, goods_min: float, tuning: Tuning) -> float:
        """Return the order_cost of all of a unit's orders, +inf where one is dropped too late to count."""
        total = 0.0
        for order, after in zip(unit.orders, unit.after_min, strict=True):
            drop = goods_min + after
            if drop > self._latest[order]:
                return math.inf
            over = max(0.0, drop - self._due[order])
            total += drop - self._placed[order] + over * (tuning.late_weight + tuning.late_growth * over)
        return total

    def joined(self, base: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
        """Return `base` with each of `more` inserted where the sum of all drop times grows least."""
        key = (base, more)
        found = self._joined.get(key)
        if found is None:
            found = base
            for order in more:
                found = min(self.insertions(found, order), key=self._latency)
            self._joined[key] = found
        return found

    @staticmethod
    def insertions(base: Sequence[int], order: int) -> list[tuple[int, ...]]:
        """Return every place that an order can have among others."""
        return [(*base[:place], order, *base[place:]) for place in range(len(base) + 1)]

    def _latency(self, orders: tuple[int, ...]) -> float:
        here = self._flat[len(self._day.drop_place) + int(self._day.order_pickup[orders[0]])]
        at = total = 0.0
        dwell = self._day.dropoff_service_min
        for order in orders:
            there = self._flat[order]
            at += math.hypot(there[0] - here[0], there[1] - here[1]) + dwell
            total += at
            here = there
        return total


@dataclass(frozen=True)
class Packed:
    """u units as arrays. orders, after_min: (u, b), filled up with the last order; taken: (u, b) which are real."""

    pickup: Ints
    ready_min: Floats
    end_min: Floats
    orders: Ints
    after_min: Floats
    taken: Bools
    size: Ints

    @classmethod
    def of(cls, units: Sequence[Unit]) -> "Packed":
        """Lay units out."""
        size = np.array([len(unit.orders) for unit in units], dtype=np.int64)
        wide = int(size.max(initial=1))
        fill = [wide - len(unit.orders) for unit in units]
        return cls(
            pickup=np.array([unit.pickup for unit in units], dtype=np.int64),
            ready_min=np.array([unit.ready_min for unit in units]),
            end_min=np.array([unit.end_min for unit in units]),
            orders=np.array(
                [unit.orders + unit.orders[-1:] * k for unit, k in zip(units, fill, strict=True)], dtype=np.int64
            ).reshape(-1, wide),
            after_min=np.array(
                [unit.after_min + unit.after_min[-1:] * k for unit, k in zip(units, fill, strict=True)]
            ).reshape(-1, wide),
            taken=np.arange(wide)[None, :] < size[:, None],
            size=size,
        )
