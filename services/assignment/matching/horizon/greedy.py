"""The first baseline: each order, as it comes, to the partner who could deliver it earliest.

First come, first served, with queues: a partner may have promised several trips already. What a dispatcher without a
solver does, and the yardstick in Reyes et al. 2018.
"""

import numpy as np

from services.assignment.matching.horizon.day import Day
from services.assignment.matching.horizon.situation import Decisions, Situation, Take


class Greedy:
    """Decides as orders are placed; an order that nobody can take is tried again every minute."""

    window_min = 1.0
    urgent_min = np.inf

    def decide(self, seen: Situation) -> Decisions:
        """Give each open order to whoever drops it earliest; the nearer one where several could."""
        day, decided = seen.day, Decisions()
        free, place = seen.free_min, seen.place
        for order in seen.orders[np.argsort(day.placed_min[seen.orders], kind="stable")]:
            fits = seen.partners[carries(day, int(order), seen.partners)]
            pickup = day.pickup_place[day.order_pickup[order]]
            arrive = np.maximum(seen.now_min, free[fits]) + day.travel_min(place[fits], pickup)
            goods = np.maximum(arrive + day.pickup_service_min / 2, day.ready_min[order])
            drop = goods + day.pickup_service_min / 2 + day.ride_min[order] + day.dropoff_service_min / 2
            possible = np.flatnonzero((goods < day.off_min[fits]) & (drop <= day.latest_min[order]))
            decided.edges += len(possible)
            if not len(possible):
                continue
            best = possible[np.lexsort((arrive[possible], drop[possible]))[0]]
            decided.cost += float(drop[best] - day.placed_min[order])
            decided.takes.append(Take(int(fits[best]), (int(order),)))
            free[fits[best]] = drop[best] + day.dropoff_service_min / 2
            place[fits[best]] = day.drop_place[order]
        decided.lower_bound = decided.cost
        return decided


def carries(day: Day, order: int, partners: np.ndarray) -> np.ndarray:
    """Return which partners can carry an order by itself."""
    return np.asarray(
        (day.parcels_max[partners] >= 1)
        & (day.weight_g[order] <= day.weight_g_max[partners])
        & (day.volume_cm3[order] <= day.volume_cm3_max[partners])
    )
