"""How a visit to one pickup and its drops run in time: the rules that every policy and the world share."""

from collections.abc import Sequence

from services.assignment.matching.horizon.day import Day


def leg_min(day: Day, chain: Sequence[int], pickup: int) -> list[float]:
    """Return the minutes of each leg: from the pickup to the first drop, and on from drop to drop."""
    if len(chain) == 1:
        return [float(day.ride_min[chain[0]])]
    place = day.drop_place[list(chain)]
    later = day.travel_min(place[:-1], place[1:])
    first = float(day.travel_min(day.pickup_place[pickup], place[0]))
    return [first, *later.tolist()]


def goods_min(day: Day, arrive_min: float, ready_min: float) -> float:
    """Return when the goods leave the counter: half the dwell after the arrival, and not before they are ready."""
    return max(arrive_min + day.pickup_service_min / 2, ready_min)


def drop_times(day: Day, goods: float, legs: Sequence[float]) -> tuple[list[float], float]:
    """Return when each order is dropped, and when the partner is free again."""
    at, drops = goods + day.pickup_service_min / 2, []
    for leg in legs:
        at += leg + day.dropoff_service_min / 2
        drops.append(at)
        at += day.dropoff_service_min / 2
    return drops, at
