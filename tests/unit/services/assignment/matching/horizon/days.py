"""Days for the policies' tests, from arrays in plain sight."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from services.assignment.matching.horizon.day import NO_LIMIT, Day
from services.assignment.matching.horizon.situation import Situation, Visit

Place = tuple[float, float]


def make_day(
    pickups: Sequence[Place],
    orders: Sequence[tuple[Place, int, float, float]],
    partners: Sequence[tuple[Place, float, float]],
    **changes: Any,
) -> Day:
    """Return a day: orders are (drop, pickup, placed, ready), partners (place, on, off); 320 m are a minute."""
    n, m = len(orders), len(partners)
    placed = np.array([order[2] for order in orders], dtype=float)
    columns: dict[str, Any] = {
        "haversine": False, "speed_m_per_min": 320.0, "round_travel_to_min": False, "pickup_service_min": 4.0,
        "dropoff_service_min": 4.0, "reposition": False,
        "pickup_place": np.array(pickups, dtype=float).reshape(-1, 2),
        "order_pickup": np.array([order[1] for order in orders], dtype=np.int64),
        "drop_place": np.array([order[0] for order in orders], dtype=float).reshape(-1, 2),
        "placed_min": placed, "ready_min": np.array([order[3] for order in orders], dtype=float),
        "due_min": placed + 40, "latest_min": placed + 90,
        "weight_g": np.zeros(n, dtype=np.int64), "volume_cm3": np.zeros(n, dtype=np.int64),
        "start_place": np.array([partner[0] for partner in partners], dtype=float).reshape(-1, 2),
        "on_min": np.array([partner[1] for partner in partners], dtype=float),
        "off_min": np.array([partner[2] for partner in partners], dtype=float),
        "parcels_max": np.full(m, NO_LIMIT), "weight_g_max": np.full(m, NO_LIMIT),
        "volume_cm3_max": np.full(m, NO_LIMIT),
    }  # fmt: skip
    return Day(**(columns | changes))


def see(day: Day, now_min: float, visits: Sequence[Visit] = (), free_min: Sequence[float] | None = None) -> Situation:
    """Return what is seen: every order that is placed and in no visit, every partner on duty, where they began."""
    taken = {order for visit in visits for order in visit.orders}
    orders = [i for i in range(len(day.placed_min)) if day.placed_min[i] <= now_min and i not in taken]
    return Situation(
        day,
        now_min,
        now_min + 1,
        np.array(orders, dtype=np.int64),
        np.flatnonzero((day.on_min <= now_min) & (now_min < day.off_min)),
        day.on_min.copy() if free_min is None else np.array(free_min, dtype=float),
        day.start_place.copy(),
        visits,
    )
