"""Which orders can wait: cheap answers that save a plan, or keep it small.

Ways are measured in a plane here: whether a partner leaves in this minute need not be known to the metre, and is asked
ten thousand times a day.
"""

import numpy as np
from scipy.spatial import cKDTree

from services.assignment.matching.horizon.day import Ints
from services.assignment.matching.horizon.situation import Situation

# A way to a pickup seldom takes longer.
STAYS_MIN = 20.0


def pressing(seen: Situation, orders: Ints) -> bool:
    """Say whether some orders (k,) must be planned now: the soonest partner of one would leave before the next moment.

    Or one can still be given to a visit whose goods leave before then.
    """
    day, half, pickups = seen.day, seen.day.pickup_service_min / 2, seen.day.order_pickup[orders]
    leaves = {visit.pickup for visit in seen.visits if visit.goods_min < seen.next_min}
    if leaves.intersection(pickups.tolist()):
        return True
    if not len(orders) or not len(seen.partners):
        return False
    apart = day.flat(day.pickup_place[pickups])[:, None] - day.flat(seen.place[seen.partners])
    way = np.hypot(apart[..., 0], apart[..., 1]) / day.speed_m_per_min
    ready = day.ready_min[orders][:, None]
    depart = np.maximum(np.maximum(seen.now_min, seen.free_min[seen.partners]), ready - half - way)
    goods = np.maximum(depart + way + half, ready)
    goods = np.where(goods < day.off_min[seen.partners], goods, np.inf)
    soonest = goods <= goods.min(axis=1, keepdims=True)
    return bool((np.where(soonest, depart, -np.inf).max(axis=1) < seen.next_min).any())


def leaving(seen: Situation, partners: Ints, by_min: float) -> Ints:
    """Return the open orders for which the nearest of some partners must leave by then; all where there are none."""
    day = seen.day
    # Whoever goes off duty soon may not be there for the order; not to count on it is to plan it sooner.
    partners = partners[day.off_min[partners] > by_min + STAYS_MIN]
    if not len(partners):
        return seen.orders
    pickups = day.flat(day.pickup_place[day.order_pickup[seen.orders]])
    apart_m, _ = cKDTree(day.flat(seen.place[partners])).query(pickups)
    leave = day.ready_min[seen.orders] - day.pickup_service_min / 2 - apart_m / day.speed_m_per_min
    return seen.orders[leave <= by_min]
