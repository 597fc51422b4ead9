"""Orders that are taken together."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.matching.horizon.pricing import order_cost
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Packed, Units
from tests.unit.services.assignment.matching.horizon.days import make_day

DROPS = [(320.0 * i, 100.0 * (i % 3)) for i in range(6)]
DAY = make_day([(0, 0)], [(drop, 0, i, 10 + i) for i, drop in enumerate(DROPS)], [((0, 0), 0, 100)])


def test_orders_on_one_line_are_dropped_along_it() -> None:
    made = Units(DAY)
    assert made.joined((4,), (1, 2, 5)) == (1, 2, 4, 5)
    assert made.of((1, 2)).ready_min == 12


@given(st.permutations(range(6)), st.integers(1, 6), st.floats(0, 60))
def test_a_units_cost_is_that_of_its_orders(order: list[int], size: int, goods_min: float) -> None:
    made, tuning = Units(DAY), Tuning()
    unit = made.of(tuple(order[:size]))
    drops = goods_min + np.array(unit.after_min)
    expected = float(order_cost(DAY, tuning, np.array(unit.orders), drops).sum())
    late = bool((drops > DAY.latest_min[list(unit.orders)]).any())
    found = made.cost(unit, goods_min, tuning)
    assert found == math.inf if late else math.isclose(found, expected)


def test_units_of_different_sizes_are_laid_out_side_by_side() -> None:
    made = Units(DAY)
    packed = Packed.of([made.of((3,)), made.of((1, 2, 4))])
    assert packed.orders.tolist() == [[3, 3, 3], [1, 2, 4]]
    assert packed.taken.tolist() == [[True, False, False], [True, True, True]]
    assert packed.end_min.tolist() == [made.of((3,)).end_min, made.of((1, 2, 4)).end_min]
