"""What it costs, in minutes of click-to-door time, that a partner takes a unit, and that a unit is left out.

The cost of an order grows with its click-to-door time, faster beyond its due time. To that comes the partner's time at
the price that the pressure gives it. A unit that is left out costs what it would with its best partner, and what its
orders lose by waiting as long as is to be expected: nothing, where the partner need not leave that soon. So a partner
is never spent on an order that can wait while another cannot (the anticipation of Ulmer et al. 2021,
doi:10.1287/trsc.2020.1000, as a price).
"""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching.horizon.day import Bools, Day, Floats, Ints
from services.assignment.matching.horizon.situation import Situation
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Packed


@dataclass(frozen=True)
class Edges:
    """e possible pairs, ordered by unit: unit (e,), partner (e,), cost (e,), depart_min (e,) as late as it can be."""

    unit: Ints
    partner: Ints
    cost: Floats
    depart_min: Floats


def order_cost(day: Day, tuning: Tuning, orders: Ints, drop_min: Floats) -> Floats:
    """Return what it costs that orders are dropped then; broadcast."""
    over = np.maximum(0.0, drop_min - day.due_min[orders])
    cost: Floats = drop_min - day.placed_min[orders] + over * (tuning.late_weight + tuning.late_growth * over)
    return cost


def price(seen: Situation, tuning: Tuning, packed: Packed, unit: Ints, partner: Ints, minute_price: float) -> Edges:
    """Return the possible ones of some pairs (e,), with their costs."""
    day, half = seen.day, seen.day.pickup_service_min / 2
    way = day.travel_min(day.pickup_place[packed.pickup[unit]], seen.place[partner])
    ready = packed.ready_min[unit]
    depart = np.maximum(np.maximum(seen.now_min, seen.free_min[partner]), ready - half - way)
    goods = np.maximum(depart + way + half, ready)
    possible = (goods < day.off_min[partner]) & _fits(day, packed, unit, partner)
    cost = minute_price * (goods + packed.end_min[unit] - depart)
    for place in range(packed.orders.shape[1]):
        here = packed.taken[unit, place]
        orders = packed.orders[unit, place]
        drop = goods + packed.after_min[unit, place]
        possible &= ~here | (drop <= day.latest_min[orders])
        cost += np.where(here, order_cost(day, tuning, orders, drop), 0.0)
    return Edges(unit[possible], partner[possible], cost[possible], depart[possible])


def _fits(day: Day, packed: Packed, unit: Ints, partner: Ints) -> Bools:
    if not day.capacitated:
        return np.ones(len(unit), dtype=bool)
    weight = np.where(packed.taken, day.weight_g[packed.orders], 0).sum(axis=1)
    volume = np.where(packed.taken, day.volume_cm3[packed.orders], 0).sum(axis=1)
    return np.asarray(
        (packed.size[unit] <= day.parcels_max[partner])
        & (weight[unit] <= day.weight_g_max[partner])
        & (volume[unit] <= day.volume_cm3_max[partner])
    )


def left_out(
    seen: Situation, tuning: Tuning, packed: Packed, best: Floats, depart: Floats, minute_price: float, wait_min: float
) -> Floats:
    """Return (u,): what leaving each unit out costs.

    best, depart: (u,) its cost with its best partner, +inf where none can take it, and when that one would leave.
    """
    day = seen.day
    leave = np.where(np.isfinite(best), depart, seen.now_min)
    goods = np.maximum(packed.ready_min, leave + day.pickup_service_min / 2)
    soonest = goods[:, None] + packed.after_min
    lost = np.zeros(len(best))
    # What makes an order late by itself, a long way or slow goods, is no reason to give it up.
    own = order_cost(day, tuning, packed.orders, day.soonest_min[packed.orders])
    now = order_cost(day, tuning, packed.orders, soonest)
    never = tuning.undelivered + np.maximum(0.0, own - (day.due_min - day.placed_min)[packed.orders])
    for share in tuning.left_out_at:
        wait = np.maximum(0.0, seen.now_min + wait_min * share - leave)
        drop = soonest + wait[:, None]
        worse = np.where(
            drop > day.latest_min[packed.orders],
            np.maximum(tuning.undelivered_least, never - now),
            order_cost(day, tuning, packed.orders, drop) - now,
        )
        lost += np.where(packed.taken, np.maximum(0.0, worse), 0.0).sum(axis=1) / len(tuning.left_out_at)
    # Short trips first: what a unit's own trip takes beyond the usual for so many orders counts against it.
    usual = float((packed.end_min / packed.size).mean()) if len(best) else 0.0
    lost -= tuning.trip_share * minute_price * (packed.end_min - packed.size * usual)
    # A hair more than the best, so that whoever can be served without harm to others is.
    return np.where(np.isfinite(best), best + np.maximum(1e-3, lost), tuning.undelivered * packed.size)
