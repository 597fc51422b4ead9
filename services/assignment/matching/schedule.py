"""When partners are where on their routes as they stand, and how much later they may leave a place at nobody's cost.

Worked out once for all partners. What an insertion changes is then only followed as far as it matters: where it is
clear that nobody behind becomes later, the rest of the route stays as it is (push forward; Savelsbergh 1992,
doi:10.1287/ijoc.4.2.146, and Campbell and Savelsbergh 2004, doi:10.1287/trsc.1030.0046).
"""

from typing import NamedTuple

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints, apart_m, embedded_m
from services.assignment.matching.routes import Routes, within
from services.assignment.matching.travel import Travel

TICKS_PER_S = 2.0**20
LOADS = ("parcels", "weight_g", "volume_cm3")


class Schedule(NamedTuple):
    """The p places of all partners, each one's together: where it starts, then its stops; partner j's from first[j] on.

    at: (p, d) coordinates, as `embedded_m` gives them. leg_s: (p,) the way to the partner's next place, 0 from its
    last. picks, service_s, ready_at_s, due_at_s: (p,) as in Routes; a start does nothing. done_s: (p,) when the parcel
    changes hands. leaves_s: (p,). late_behind_s: (p,) lateness of all stops behind a place. slack_s: (p,) how much
    later it may be left with that lateness staying what it is. loaded: (p, 3) what has been loaded since the start, of
    parcels, weight_g and volume_cm3.
    """

    first: Ints
    at: Floats
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


def whole_ticks(time_s: Floats) -> Floats:
    """Return times of ways, rounded to a millionth of a second: their sums are exact, and equal ways are equal."""
    return np.rint(time_s * TICKS_PER_S) / TICKS_PER_S


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


def scheduled(routes: Routes, place: Floats, vehicle: Ints, start_s: Floats, travel: Travel) -> Schedule:
    """Return when partners with `vehicle`, (m,), are where, who leave their embedded `place`, (m, d), at `start_s`."""
    m, lengths = len(routes), routes.lengths
    first = routes.offsets[:-1] + np.arange(m)
    owner, turn = np.repeat(np.arange(m), lengths + 1), within(lengths + 1)
    stops = np.flatnonzero(turn)

    def laid_out(starts: Floats, values: Floats) -> Floats:
        both = np.empty((len(owner), *values.shape[1:]))
        both[first], both[stops] = starts, values
        return both

    at = laid_out(place, embedded_m(travel.metric, routes.place))
    leg_s = np.zeros(len(owner))
    way_m = apart_m(travel.metric, at.take(stops - 1, axis=0), at.take(stops, axis=0))
    leg_s[stops - 1] = whole_ticks(travel.time_s(way_m, vehicle[owner[stops]], start_s[owner[stops]]))
    picks = np.zeros(len(owner), dtype=np.int64)
    picks[stops] = routes.pickup
    service_s = laid_out(np.zeros(m), routes.service_s)
    ready_at_s = laid_out(np.full(m, -np.inf), routes.ready_at_s)
    due_at_s = laid_out(np.full(m, np.inf), routes.due_at_s)
    done_s, leaves_s = (laid_out(start_s, np.zeros(len(stops))) for _ in range(2))
    late_behind_s, slack_s = np.zeros(len(owner)), np.full(len(owner), np.inf)
    _drive(first, lengths, leg_s, picks, service_s, ready_at_s, due_at_s, done_s, leaves_s, late_behind_s, slack_s)
    loads = np.zeros((len(owner), len(LOADS)), dtype=np.int64)
    loads[stops] = np.column_stack([getattr(routes, name) for name in LOADS])
    loaded = loads.cumsum(axis=0)
    loaded -= loaded[first].repeat(lengths + 1, axis=0)
    times = (leg_s, picks, service_s, ready_at_s, due_at_s, done_s, leaves_s, late_behind_s, slack_s)
    return Schedule(first, at, *times, loaded)


@compiled
def _drive(
    first: Ints, lengths: Ints, leg_s: Floats, picks: Ints, service_s: Floats, ready_at_s: Floats, due_at_s: Floats,
    done_s: Floats, leaves_s: Floats, late_behind_s: Floats, slack_s: Floats,
) -> None:  # fmt: skip
    """Set done_s and leaves_s of the stops, and late_behind_s and slack_s, all as in Schedule."""
    for j in range(len(first)):
        start, end = first[j] + 1, first[j] + 1 + lengths[j]
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
