"""Joining orders where that saves more than it costs."""

import numpy as np

from services.assignment.matching.horizon.bundling import NOBODY, joined
from services.assignment.matching.horizon.candidates import Candidates
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Unit, Units
from tests.unit.services.assignment.matching.horizon.days import make_day, see

ORDERS = [((1600, 0), 0, 0, 5), ((1600, 320), 0, 0, 5), ((-3200, 0), 0, 0, 5), ((1600, 0), 1, 0, 5)]
DAY = make_day([(0, 0), (100, 0)], ORDERS, [((0, 0), 0, 300)])


def try_joining(cost: list[float], partner: list[int], orders: list[int]) -> list[Unit] | None:
    """Join units of one order each that cost this much."""
    seen, made = see(DAY, 3), Units(DAY)
    units = [made.of((order,)) for order in orders]
    candidates = Candidates(seen, np.array([0, 1]), 5, np.array([3, 1]))
    return joined(seen, Tuning(), made, candidates, units, np.array(cost), np.array(partner), 0.0, 6)


def test_an_order_that_is_left_out_goes_with_one_that_is_not() -> None:
    units = try_joining([14.0, 300.0, 300.0], [0, NOBODY, NOBODY], [0, 1, 2])
    assert units is not None
    assert sorted(unit.orders for unit in units) == [(0, 1), (2,)]


def test_orders_that_fare_well_alone_stay_alone() -> None:
    assert try_joining([14.0, 15.0], [0, NOBODY], [0, 1]) is None


def test_orders_of_different_pickups_are_never_joined() -> None:
    assert try_joining([300.0, 300.0], [0, NOBODY], [0, 3]) is None
