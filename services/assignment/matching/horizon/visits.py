"""Adding to visits whose goods have not left the pickup: a partner on its way there, or waiting, may be given more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.assignment.matching.horizon.day import Day, Floats, Ints
from services.assignment.matching.horizon.situation import Situation, Visit
from services.assignment.matching.horizon.trips import goods_min
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Unit, Units

# Up to so many orders every place for a drop is priced; beyond, the one with the least sum of drop times.
EXACT_MAX = 4


@dataclass(frozen=True)
class Additions:
    """a possible ones: unit (a,), visit (a,), cost (a,), and the orders of the visit with the unit."""

    unit: Ints
    visit: Ints
    cost: Floats
    orders: Sequence[tuple[int, ...]]


def additions(
    seen: Situation, tuning: Tuning, made: Units, units: Sequence[Unit], minute_price: float, bundle_max: int
) -> Additions:
    """Return what each unit costs in each visit to its pickup: what all of the visit's orders lose, and the time."""
    at: dict[int, list[int]] = {}
    for index, visit in enumerate(seen.visits):
        at.setdefault(visit.pickup, []).append(index)
    found: list[tuple[int, int, float, tuple[int, ...]]] = []
    for row, unit in enumerate(units):
        for index in at.get(unit.pickup, ()):
            visit = seen.visits[index]
            best = _best(seen.day, tuning, made, unit, visit, minute_price, bundle_max)
            if best is not None:
                found.append((row, index, *best))
    return Additions(
        np.array([one[0] for one in found], dtype=np.int64),
        np.array([one[1] for one in found], dtype=np.int64),
        np.array([one[2] for one in found]),
        [one[3] for one in found],
    )


def _best(
    day: Day, tuning: Tuning, made: Units, unit: Unit, visit: Visit, minute_price: float, bundle_max: int
) -> tuple[float, tuple[int, ...]] | None:
    held, partner = tuple(visit.orders), visit.partner
    if len(held) + len(unit.orders) > bundle_max or (day.capacitated and not _fits(day, partner, held + unit.orders)):
        return None
    whole = made.of(held)
    goods = goods_min(day, visit.arrive_min, max(unit.ready_min, whole.ready_min))
    if goods >= day.off_min[partner]:
        return None
    if len(unit.orders) == 1 and len(held) < EXACT_MAX:
        ways = made.insertions(held, unit.orders[0])
    else:
        ways = [made.joined(held, unit.orders)]
    now = minute_price * (visit.goods_min + whole.end_min) + made.cost(whole, visit.goods_min, tuning)
    best: tuple[float, tuple[int, ...]] | None = None
    for way in ways:
        whole = made.of(way)
        cost = minute_price * (goods + whole.end_min) + made.cost(whole, goods, tuning) - now
        if cost < math.inf and (best is None or cost < best[0]):
            best = cost, way
    return best


def _fits(day: Day, partner: int, orders: Sequence[int]) -> bool:
    chosen = list(orders)
    return bool(
        len(chosen) <= day.parcels_max[partner]
        and day.weight_g[chosen].sum() <= day.weight_g_max[partner]
        and day.volume_cm3[chosen].sum() <= day.volume_cm3_max[partner]
    )
