"""How hard partners are needed: the work that is there and expected, over the time that partners have for it.

The pressure of Reyes et al. 2018 (orders per courier, which sets the size of bundles there), in minutes instead of
heads.
"""

import numpy as np

from services.assignment.matching.horizon.situation import Situation
from services.assignment.matching.horizon.tuning import Tuning

# An approach takes about as long as a ride, and most of an order's trip lies behind it when the horizon ends.
TRIP_SHARE_AT_END = 0.7


def pressure(seen: Situation, tuning: Tuning) -> float:
    """Return minutes of work per minute of partners' time in the coming horizon; 0 where no order is open."""
    if not len(seen.orders):
        return 0.0
    day, now, horizon = seen.day, seen.now_min, tuning.horizon_min
    free = np.maximum(seen.free_min[seen.partners], now)
    supply = np.maximum(0.0, np.minimum(day.off_min[seen.partners], now + horizon) - free).sum()
    since = now - tuning.recent_min
    recent = int(((day.placed_min <= now) & (day.placed_min > since)).sum()) / tuning.recent_min
    trip = 2 * float(day.ride_min[seen.orders].mean()) + day.pickup_service_min + day.dropoff_service_min
    demand = (len(seen.orders) + recent * max(0.0, horizon - TRIP_SHARE_AT_END * trip)) * trip
    return float(demand / max(supply, 1.0))
