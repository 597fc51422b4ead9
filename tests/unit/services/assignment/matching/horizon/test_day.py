"""Distances and times between places."""

import numpy as np

from tests.unit.services.assignment.matching.horizon.days import make_day

ORIGIN, FAR = np.array([0.0, 0.0]), np.array([300.0, 400.0])


def test_legs_are_rounded_up_where_the_day_says_so() -> None:
    assert make_day([], [], []).travel_min(ORIGIN, FAR) == 500 / 320
    assert make_day([], [], [], round_travel_to_min=True).travel_min(ORIGIN, FAR) == 2


def test_flat_places_are_about_as_far_apart_as_those_on_the_sphere() -> None:
    day = make_day([(52.0, 13.0)], [], [], haversine=True)
    one, other = np.array([52.0, 13.0]), np.array([52.03, 13.05])
    apart = np.hypot(*(day.flat(one[None])[0] - day.flat(other[None])[0]))
    assert abs(apart / day.distance_m(one, other) - 1) < 0.002
