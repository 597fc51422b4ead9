"""The cheapest feasible insertion of packages into partners' routes.

Every place for the pickup and, not before it, for the drop is considered (Solomon 1987, doi:10.1287/opre.35.2.254, for
the insertion; Jaw et al. 1986, doi:10.1016/0191-2615(86)90020-2, for pickups with drops): the order of the stops that a
partner has already stays. The SCHEDULED_MAX insertions that fit the vehicle and add least time on the road compete, and
the best of them is kept: least extra time on the road plus lateness, of the package and of those on board, with dwells
and goods that are not ready. On a route so short that all its insertions compete, that is the optimum.

They are timed in the order of their extra time, until the next one's is no less than all that the best one costs:
where nobody becomes late, the first. Extra time is the pickup's and the drop's, so a place of the pickup that is too
dear with the cheapest drop behind it is passed over.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from services.assignment.matching.compiled import compiled, inlined
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.schedule import LOADS, Schedule
from services.assignment.matching.timing import FROM_EXIT, TO_DROP, TO_PICKUP, Parcel, driven
from services.assignment.matching.ways import Ground, ground_of, time_s, way_s

# All insertions into a route of up to two stops.
SCHEDULED_MAX = 6
# More rows of a Parcel's ways: extra seconds behind each place of both together, of the pickup, of the drop, and of the
# cheapest drop farther behind.
TOGETHER, PICKING, DROPPING, BEHIND = 3, 4, 5, 6


@dataclass(frozen=True)
class Insertion:
    """How e packages would fit into e partners' routes.

    pickup_after, drop_after: (e,) how many of the route's stops come before the pickup and before the drop.
    pickup_at_s: (e,) arrival at the pickup. dropped_at_s: (e,) when the first parcel is handed over. detour_s: (e,)
    extra time of the route, without the ride from pickup to the last drop, never negative. delay_s: (e,) lateness that
    the route's other parcels gain. All times +inf where nothing fits.
    """

    pickup_after: Ints
    drop_after: Ints
    pickup_at_s: Floats
    dropped_at_s: Floats
    detour_s: Floats
    delay_s: Floats

    def taken(self, rows: Bools | Ints) -> "Insertion":
        """Return some of the pairs'."""
        return Insertion(*(getattr(self, field.name)[rows] for field in fields(self)))


class _Wishes(NamedTuple):
    """What n packages need: coordinates of pickup, drop and exit (n, d), load (n, 3) as in LOADS, the rest (n,)."""

    pickup: Floats
    drop: Floats
    leave: Floats
    ride_m: Floats
    chain_m: Floats
    chain_service_s: Floats
    pickup_service_s: Floats
    drop_service_s: Floats
    ready_at_s: Floats
    due_at_s: Floats
    load: Ints


class _Drivers(NamedTuple):
    """What m partners have: stops left (m,), and room (m, 3) as in LOADS."""

    length: Ints
    room: Ints


class _Extras(NamedTuple):
    """The insertions of one pair that add least time, in order: how much, and after how many stops."""

    extra_s: Floats
    before: Ints
    after: Ints


def insertions(problem: Problem, package: Ints, partner: Ints) -> Insertion:
    """Return the cheapest insertion of each pair; `package` and `partner` are (e,) indices."""
    e = len(package)
    found = Insertion(np.zeros(e, dtype=np.int64), np.zeros(e, dtype=np.int64), *(np.full(e, np.inf) for _ in range(4)))
    wishes = problem.once(_Wishes, "columns", lambda: _wishes(problem))
    drivers = problem.once(_Drivers, "columns", lambda: _drivers(problem))
    ground = ground_of(problem.travel)
    columns = tuple(getattr(found, field.name) for field in fields(found))
    _insert(package, partner, wishes, drivers, problem.schedule, ground, columns)
    return found


def _wishes(problem: Problem) -> _Wishes:
    packages = problem.packages
    named = {name: getattr(packages, name) for name in _Wishes._fields if hasattr(packages, name)}
    pickup, drop, leave = problem.embedded
    load = np.column_stack([getattr(packages, name) for name in LOADS])
    return _Wishes(**named | {"pickup": pickup, "drop": drop, "leave": leave, "ride_m": problem.ride_m, "load": load})


def _drivers(problem: Problem) -> _Drivers:
    partners = problem.partners
    room = np.column_stack([getattr(partners, f"{name}_left") for name in LOADS])
    return _Drivers(partners.routes.lengths, room)


_Columns = tuple[Ints, Ints, Floats, Floats, Floats, Floats]


@compiled
def _insert(
    package: Ints, partner: Ints, wishes: _Wishes, drivers: _Drivers, schedule: Schedule, ground: Ground,
    columns: _Columns,
) -> None:  # fmt: skip
    """Set the columns of an Insertion."""
    widest = 0
    for j in partner:
        widest = max(widest, drivers.length[j])
    ways = np.empty((7, widest + 2))
    best = _Extras(np.empty(SCHEDULED_MAX), np.empty(SCHEDULED_MAX, np.int64), np.empty(SCHEDULED_MAX, np.int64))
    peak = np.empty(drivers.room.shape[1], np.int64)
    pickup_after, drop_after, pickup_at_s, dropped_at_s, detour_s, delay_s = columns
    for row in range(len(package)):
        i, j = package[row], partner[row]
        first, length, speed = schedule.first[j], drivers.length[j], schedule.speed_m_per_s[j]
        ride_s = time_s(wishes.ride_m[i], speed, ground)
        chain_s = time_s(wishes.chain_m[i], speed, ground) + wishes.chain_service_s[i]
        parcel = Parcel(
            wishes.pickup_service_s[i], wishes.drop_service_s[i], wishes.ready_at_s[i], wishes.due_at_s[i], ride_s,
            chain_s, ways,
        )  # fmt: skip
        _measure(wishes, i, schedule, first, length, speed, ground, ways)
        _weigh(parcel, schedule, first, length, ways)
        if _least(schedule, first, length, wishes.load, i, drivers.room, j, ways, peak, best, 1) == 0:
            continue
        extra_s, before, after = best.extra_s[0], best.before[0], best.after[0]
        times = driven(schedule, first, length, parcel, before, after)
        score_s = extra_s + max(0.0, times[1] - parcel.due_at_s) + times[2]
        # Where nobody is late, no insertion with more extra time can be better.
        competing = 1
        if score_s > extra_s and length:
            competing = _least(
                schedule, first, length, wishes.load, i, drivers.room, j, ways, peak, best, SCHEDULED_MAX
            )
        for place in range(1, competing):
            if best.extra_s[place] >= score_s:
                break
            tried = driven(schedule, first, length, parcel, best.before[place], best.after[place])
            tried_s = best.extra_s[place] + max(0.0, tried[1] - parcel.due_at_s) + tried[2]
            if tried_s < score_s:
                extra_s, before, after = best.extra_s[place], best.before[place], best.after[place]
                times, score_s = tried, tried_s
        pickup_after[row], drop_after[row] = before, after
        pickup_at_s[row], dropped_at_s[row], delay_s[row] = times
        # Who has nothing else to do makes no detour.
        detour_s[row] = max(0.0, extra_s - ride_s - chain_s) if length else 0.0


@inlined
def _measure(
    wishes: _Wishes, i: int, schedule: Schedule, first: int, length: int, speed: float, ground: Ground, ways: Floats
) -> None:
    """Set the seconds between each place of the route and the package's pickup, drop and exit."""
    parted = False
    for axis in range(wishes.drop.shape[1]):
        parted = parted or wishes.drop[i, axis] != wishes.leave[i, axis]
    for place in range(length + 1):
        row = first + place
        ways[TO_PICKUP, place] = way_s(schedule.at, row, wishes.pickup, i, speed, ground)
        ways[TO_DROP, place] = way_s(schedule.at, row, wishes.drop, i, speed, ground)
        ways[FROM_EXIT, place] = (
            way_s(schedule.at, row, wishes.leave, i, speed, ground) if parted else ways[TO_DROP, place]
        )


@inlined
def _weigh(parcel: Parcel, schedule: Schedule, first: int, length: int, ways: Floats) -> None:
    """Set the extra seconds of both together, the pickup and the drop behind each place."""
    for place in range(length + 1):
        leg_s = schedule.leg_s[first + place]
        # Nobody goes on from the last place.
        onward_s = ways[TO_PICKUP, place + 1] if place < length else 0.0
        home_s = parcel.chain_s + (ways[FROM_EXIT, place + 1] if place < length else 0.0)
        ways[TOGETHER, place] = ways[TO_PICKUP, place] + parcel.ride_s + home_s - leg_s
        ways[PICKING, place] = ways[TO_PICKUP, place] + onward_s - leg_s
        ways[DROPPING, place] = ways[TO_DROP, place] + home_s - leg_s


@inlined
def _least(
    schedule: Schedule, first: int, length: int, load: Ints, i: int, room: Ints, j: int, ways: Floats, peak: Ints,
    best: _Extras, count_max: int,
) -> int:  # fmt: skip
    """Set the `count_max` insertions that add least time, the first where several do; return how many there are."""
    cheapest_drop_s = np.inf
    for place in range(length, -1, -1):
        ways[BEHIND, place] = cheapest_drop_s
        cheapest_drop_s = min(cheapest_drop_s, ways[DROPPING, place])
    count = 0
    for before in range(length + 1):
        for kind in range(len(peak)):
            peak[kind] = schedule.loaded[first + before, kind]
        if not _fits(load, i, peak, room, j):
            continue
        count = _compete(ways[TOGETHER, before], before, before, best, count, count_max)
        if count == count_max and ways[PICKING, before] + ways[BEHIND, before] >= best.extra_s[count - 1]:
            continue
        for after in range(before + 1, length + 1):
            for kind in range(len(peak)):
                peak[kind] = max(peak[kind], schedule.loaded[first + after, kind])
            if not _fits(load, i, peak, room, j):
                break
            count = _compete(ways[PICKING, before] + ways[DROPPING, after], before, after, best, count, count_max)
    return count


@inlined
def _fits(load: Ints, i: int, peak: Ints, room: Ints, j: int) -> bool:
    fits = True
    for kind in range(len(peak)):
        fits = fits and load[i, kind] + peak[kind] <= room[j, kind]
    return fits


@compiled
def _compete(extra_s: float, before: int, after: int, best: _Extras, count: int, count_max: int) -> int:
    """Put an insertion where it belongs among the best; return how many they are now."""
    if count == count_max:
        if extra_s >= best.extra_s[count - 1]:
            return count
        count -= 1
    place = count
    while place and best.extra_s[place - 1] > extra_s:
        best.extra_s[place] = best.extra_s[place - 1]
        best.before[place], best.after[place] = best.before[place - 1], best.after[place - 1]
        place -= 1
    best.extra_s[place], best.before[place], best.after[place] = extra_s, before, after
    return count + 1
