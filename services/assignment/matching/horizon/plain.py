"""The second baseline: every minute, a one-to-one matching of open orders with idle partners, and nothing else.

No bundles, nobody who is about to be free, and whatever is matched is decided: what production's windows do by default.
"""

import numpy as np

from services.assignment.matching.horizon.assign import UNASSIGNED, assign
from services.assignment.matching.horizon.situation import Decisions, Situation, Take


class Plain:
    """Matches as many as possible, and among those matchings one whose drops are soonest."""

    window_min = 1.0
    urgent_min = -np.inf

    def decide(self, seen: Situation) -> Decisions:
        """Match the open orders to the idle partners."""
        day, decided = seen.day, Decisions()
        idle = seen.partners[seen.free_min[seen.partners] <= seen.now_min]
        orders = seen.orders
        if not len(idle):
            return decided
        pickup = day.pickup_place[day.order_pickup[orders]]
        arrive = seen.now_min + day.travel_min(pickup[:, None], seen.place[idle][None, :])
        goods = np.maximum(arrive + day.pickup_service_min / 2, day.ready_min[orders][:, None])
        after = day.pickup_service_min / 2 + day.ride_min[orders] + day.dropoff_service_min / 2
        drop = goods + after[:, None]
        possible = (goods < day.off_min[idle][None, :]) & (drop <= day.latest_min[orders][:, None])
        possible &= (day.parcels_max[idle] >= 1)[None, :]
        possible &= day.weight_g[orders][:, None] <= day.weight_g_max[idle][None, :]
        possible &= day.volume_cm3[orders][:, None] <= day.volume_cm3_max[idle][None, :]
        # The nearer of two who could deliver at the same time.
        cost = np.where(possible, drop - seen.now_min + 1e-3 * (arrive - seen.now_min), np.inf)
        row, column = np.nonzero(possible)
        matching = assign(row, column, cost[row, column], np.full(len(orders), np.inf))
        chosen = matching.edge[matching.edge != UNASSIGNED]
        decided.takes = [Take(int(idle[column[edge]]), (int(orders[row[edge]]),)) for edge in chosen]
        decided.edges = len(row)
        decided.cost, decided.lower_bound = matching.proof()
        return decided
