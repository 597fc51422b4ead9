"""How long ways take, for compiled loops; of arrays, geography.apart_m and Travel.time_s say the same."""

from typing import NamedTuple

import numpy as np

from services.assignment.matching.compiled import inlined
from services.assignment.matching.geography import Floats, Metric, along_ground_m
from services.assignment.matching.travel import Travel

TICKS_PER_S = 2.0**20


class Ground(NamedTuple):
    """How far places are apart, and how times are rounded; see Travel."""

    is_sphere: bool
    round_up_s: float


def ground_of(travel: Travel) -> Ground:
    """Return what compiled loops need to know of ways."""
    return Ground(travel.metric is Metric.HAVERSINE, float(travel.round_up_s))


@inlined
def way_s(places: Floats, row: int, others: Floats, i: int, speed_m_per_s: float, ground: Ground) -> float:
    """Return the seconds between two embedded places, rows of (..., d)."""
    square = 0.0
    for axis in range(places.shape[1]):
        offset_m = places[row, axis] - others[i, axis]
        square += offset_m * offset_m
    return time_s(along_ground_m(np.sqrt(square), ground.is_sphere), speed_m_per_s, ground)


@inlined
def time_s(distance_m: float, speed_m_per_s: float, ground: Ground) -> float:
    """Return the seconds for a distance, to a millionth: their sums are exact, and equal ways are equal."""
    exact_s = distance_m / speed_m_per_s
    if ground.round_up_s:
        exact_s = np.ceil(exact_s / ground.round_up_s - 1e-9) * ground.round_up_s
    ticks: float = np.rint(exact_s * TICKS_PER_S)
    return ticks / TICKS_PER_S
