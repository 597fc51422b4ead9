"""When partners are where on their routes as they stand, and how much later they may leave a place at nobody's cost.

Worked out once for all partners. What an insertion changes is then only followed as far as it matters: where it is
clear that nobody behind becomes later, the rest of the route stays as it is (push forward; Savelsbergh 1992,
doi:10.1287/ijoc.4.2.146, and Campbell and Savelsbergh 2004, doi:10.1287/trsc.1030.0046).
"""

from typing import NamedTuple

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints, embedded_m
from services.assignment.matching.routes import Routes
from services.assignment.matching.travel import Travel
from services.assignment.matching.ways import Ground, ground_of, way_s

LOADS = ("parcels", "weight_g", "volume_cm3")


class Schedule(NamedTuple):
    """The p places of all partners, each one's together: where it starts, then its stops; partner j's from first[j] on.

    at: (p, d) coordinates, as `embedded_m` gives them. speed_m_per_s: (m,) on the whole route. leg_s: (p,) the way to
    the partner's next place, 0 from its last. picks, service_s, ready_at_s, due_at_s: (p,) as in Routes; a start does
    nothing. done_s: (p,) when the parcel changes hands. leaves_s: (p,). late_behind_s: (p,) lateness of all stops
    behind a place. slack_s: (p,) how much later it may be left with that lateness staying what it is. loaded: (p, 3)
    what has been loaded since the start, of parcels, weight_g and volume_cm3.
    """

    first: Ints
    at: Floats
    speed_m_per_s: Floats
    leg_s: Floats
    picks: Ints
    service_s: Floats
    ready_at_s: Floats
    due_at_s: Floats
    done_s: Floats
    leaves_s: Floats
    late_behind_s: Floats
    slack_s: Floats
    loaded: Ints


@compiled
def handed_over_s(
    now_s: float, picked: int, way_s: float, service_s: float, ready_at_s: float, picks: int
) -> tuple[float, float]:
    """Return when a parcel changes hands at the next stop: by the way and the dwell alone, and not before it is ready.

    now_s: when the stop before was left. picked: 1 where that was a pickup.
    """
    half_s = service_s / 2
    # A pickup where one has just picked up: the same visit goes on.
    shared = picked == 1 and picks == 1 and way_s == 0
    there_s = now_s - half_s if shared else now_s + way_s + half_s
    return there_s, max(there_s, ready_at_s)


class _Stops(NamedTuple):
    """The s stops of all routes: coordinates (s, d), load (s, 3) as in LOADS, the rest (s,) as in Routes."""

    at: Floats
    pickup: Ints
    service_s: Floats
    ready_at_s: Floats
    due_at_s: Floats
    load: Ints


def scheduled(routes: Routes, place: Floats, vehicle: Ints, start_s: Floats, travel: Travel) -> Schedule:
    """Return when partners with `vehicle`, (m,), are where, who leave their embedded `place`, (m, d), at `start_s`."""
    m, places = len(routes), len(routes) + len(routes.place)
    load = np.column_stack([getattr(routes, name) for name in LOADS])
    stops = _Stops(
        embedded_m(travel.metric, routes.place),
        routes.pickup,
        routes.service_s,
        routes.ready_at_s,
        routes.due_at_s,
        load,
    )
    first, speed_m_per_s = routes.offsets[:-1] + np.arange(m), travel.speed_at_m_per_s(vehicle, start_s)
    leg_s, service_s, done_s, leaves_s, late_behind_s = (np.zeros(places) for _ in range(5))
    ready_at_s, due_at_s, slack_s = (np.full(places, value) for value in (-np.inf, np.inf, np.inf))
    schedule = Schedule(
        first, np.empty((places, place.shape[1])), speed_m_per_s, leg_s, np.zeros(places, dtype=np.int64), service_s,
        ready_at_s, due_at_s, done_s, leaves_s, late_behind_s, slack_s,
        np.zeros((places, len(LOADS)), dtype=np.int64),
    )  # fmt: skip
    _lay_out(schedule, routes.offsets, place, start_s, stops, ground_of(travel))
    _drive(schedule, routes.lengths)
    return schedule


@compiled
def _lay_out(schedule: Schedule, offsets: Ints, place: Floats, start_s: Floats, stops: _Stops, ground: Ground) -> None:
    """Set what stands in the routes already, the ways, and what is loaded."""
    for j in range(len(schedule.first)):
        start = schedule.first[j]
        for axis in range(place.shape[1]):
            schedule.at[start, axis] = place[j, axis]
        schedule.done_s[start], schedule.leaves_s[start] = start_s[j], start_s[j]
        for stop in range(offsets[j], offsets[j + 1]):
            row = start + 1 + stop - offsets[j]
            for axis in range(place.shape[1]):
                schedule.at[row, axis] = stops.at[stop, axis]
            schedule.leg_s[row - 1] = way_s(schedule.at, row - 1, stops.at, stop, schedule.speed_m_per_s[j], ground)
            schedule.picks[row], schedule.service_s[row] = stops.pickup[stop], stops.service_s[stop]
            schedule.ready_at_s[row], schedule.due_at_s[row] = stops.ready_at_s[stop], stops.due_at_s[stop]
            for kind in range(stops.load.shape[1]):
                schedule.loaded[row, kind] = schedule.loaded[row - 1, kind] + stops.load[stop, kind]


@compiled
def _drive(schedule: Schedule, lengths: Ints) -> None:
    """Set done_s and leaves_s of the stops, and late_behind_s and slack_s."""
    leg_s, picks, service_s, ready_at_s = schedule.leg_s, schedule.picks, schedule.service_s, schedule.ready_at_s
    due_at_s, done_s, leaves_s = schedule.due_at_s, schedule.done_s, schedule.leaves_s
    late_behind_s, slack_s = schedule.late_behind_s, schedule.slack_s
    for j in range(len(schedule.first)):
        start, end = schedule.first[j] + 1, schedule.first[j] + 1 + lengths[j]
        for row in range(start, end):
            _, done_s[row] = handed_over_s(
                leaves_s[row - 1], picks[row - 1], leg_s[row - 1], service_s[row], ready_at_s[row], picks[row]
            )
            leaves_s[row] = done_s[row] + service_s[row] / 2
        for row in range(end - 1, start - 1, -1):
            there_s, _ = handed_over_s(
                leaves_s[row - 1], picks[row - 1], leg_s[row - 1], service_s[row], ready_at_s[row], picks[row]
            )
            late_behind_s[row - 1] = late_behind_s[row] + max(0.0, done_s[row] - due_at_s[row])
            in_time_s = max(0.0, due_at_s[row] - done_s[row])
            slack_s[row - 1] = min(in_time_s, slack_s[row]) + done_s[row] - there_s
