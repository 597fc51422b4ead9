"""What no policy can pass, whatever it decides and even if it knew the whole day: a lower bound for each order.

An order alone, with every partner for itself, relaxes the day: the goods leave when they are ready and the partner who
could be there first is there, and the ride is direct. Ways add up to no less than the direct one, rounded up or not, so
no other stop of a partner can bring it anywhere sooner. Where a policy loses no order that can be delivered at all,
and is as quick as these bounds, it is optimal, and no other one can be better.
"""

from typing import Any

import numpy as np

from cli.simulate.outputs import mean
from services.assignment.matching.horizon.day import Day, Floats

ORDERS_AT_ONCE = 1_000


def soonest_drops(day: Day) -> Floats:
    """Return (n,) before when no partner could drop each order; inf where none could take it, or only too late."""
    soonest = np.full(len(day.placed_min), np.inf)
    if not len(day.on_min):
        return soonest
    half = day.pickup_service_min / 2
    for first in range(0, len(soonest), ORDERS_AT_ONCE):
        orders = slice(first, first + ORDERS_AT_ONCE)
        pickups, inverse = np.unique(day.order_pickup[orders], return_inverse=True)
        ways = day.travel_min(day.start_place[None], day.pickup_place[pickups][:, None])
        there = (day.on_min + ways + half)[inverse]
        goods = np.maximum(there, np.maximum(day.placed_min, day.ready_min)[orders, None])
        fits = (
            (goods < day.off_min)
            & (day.weight_g[orders, None] <= day.weight_g_max)
            & (day.volume_cm3[orders, None] <= day.volume_cm3_max)
            & (day.parcels_max > 0)
        )
        soonest[orders] = np.where(fits, goods, np.inf).min(axis=1)
    soonest += half + day.ride_min + day.dropoff_service_min / 2
    return np.where(soonest <= day.latest_min, soonest, np.inf)


def floor_measures(day: Day) -> dict[str, Any]:
    """Return how few orders can be lost, and how soon and how little late those could be that need not be."""
    soonest = soonest_drops(day)
    within = np.isfinite(soonest)
    counted = np.where(within, soonest, day.latest_min)
    return {
        "undelivered": int((~within).sum()),
        "click_to_door_mean_min": mean((soonest - day.placed_min)[within]),
        "lateness_mean_min": mean(np.maximum(0, soonest - day.due_min)[within]),
        "every_order_click_to_door_mean_min": mean(counted - day.placed_min),
        "every_order_lateness_mean_min": mean(np.maximum(0, counted - day.due_min)),
    }
