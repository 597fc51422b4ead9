"""Drives along partners' routes with a package put into them: when it arrives, and who becomes late by it."""

from typing import NamedTuple

from services.assignment.matching.compiled import inlined
from services.assignment.matching.geography import Floats
from services.assignment.matching.schedule import Schedule, handed_over_s

TO_PICKUP, TO_DROP, FROM_EXIT = 0, 1, 2


class Parcel(NamedTuple):
    """What a drive does for one package.

    Dwells in seconds, times in seconds since 1970. ride_s, chain_s: from the pickup to the first drop, and from there
    to the end of the last. ways: (rows, width) seconds between the places of the route and the package's: row TO_PICKUP
    to its pickup, TO_DROP to its drop, FROM_EXIT from its exit.
    """

    pickup_service_s: float
    drop_service_s: float
    ready_at_s: float
    due_at_s: float
    ride_s: float
    chain_s: float
    ways: Floats


@inlined
def driven(
    schedule: Schedule, first: int, length: int, parcel: Parcel, before: int, after: int
) -> tuple[float, float, float]:
    """Return arrival at the pickup, when the first parcel is handed over, and the lateness that others gain.

    The route's `length` stops stand in the schedule from row `first` + 1 on; the pickup comes behind `before` of them,
    the drop behind `after`. It is followed as far as it makes a difference.
    """
    now_s, picked = schedule.leaves_s[first + before], schedule.picks[first + before]
    gained_s = 0.0
    way_s = parcel.ways[TO_PICKUP, before]
    pickup_at_s = now_s + way_s
    _, done_s = handed_over_s(now_s, picked, way_s, parcel.pickup_service_s, parcel.ready_at_s, 1)
    now_s, picked = done_s + parcel.pickup_service_s / 2, 1
    for place in range(before + 1, after + 1):
        stop = first + place
        way_s = parcel.ways[TO_PICKUP, place] if place == before + 1 else schedule.leg_s[stop - 1]
        done_s, gained = _passed(schedule, stop, now_s, picked, way_s)
        gained_s += gained
        now_s, picked = done_s + schedule.service_s[stop] / 2, schedule.picks[stop]
    way_s = parcel.ride_s if before == after else parcel.ways[TO_DROP, after]
    half_s = parcel.drop_service_s / 2
    dropped_at_s = now_s + way_s + half_s
    now_s, picked = dropped_at_s + half_s + parcel.chain_s, 0
    for place in range(after + 1, length + 1):
        stop = first + place
        way_s = parcel.ways[FROM_EXIT, place] if place == after + 1 else schedule.leg_s[stop - 1]
        done_s, gained = _passed(schedule, stop, now_s, picked, way_s)
        gained_s += gained
        later_s = done_s - schedule.done_s[stop]
        if later_s <= schedule.slack_s[stop] and (later_s >= 0 or schedule.late_behind_s[stop] <= 0):
            break
        now_s, picked = done_s + schedule.service_s[stop] / 2, schedule.picks[stop]
    return pickup_at_s, dropped_at_s, max(0.0, gained_s)


@inlined
def _passed(schedule: Schedule, stop: int, now_s: float, picked: int, way_s: float) -> tuple[float, float]:
    """Return when a stop of the route is done, and how much later than its due time that is than it was."""
    _, done_s = handed_over_s(
        now_s, picked, way_s, schedule.service_s[stop], schedule.ready_at_s[stop], schedule.picks[stop]
    )
    due_s = schedule.due_at_s[stop]
    return done_s, max(0.0, done_s - due_s) - max(0.0, schedule.done_s[stop] - due_s)
