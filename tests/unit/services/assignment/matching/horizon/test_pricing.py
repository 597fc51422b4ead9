"""What pairs cost, which are possible, and what leaving out costs."""

import numpy as np
import pytest

from services.assignment.matching.horizon.pricing import left_out, order_cost, price
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Packed, Units
from tests.unit.services.assignment.matching.horizon.days import make_day, see

TUNING = Tuning()


def test_a_minute_costs_more_the_later_it_is() -> None:
    day = make_day([(0, 0)], [((0, 0), 0, 0, 0)], [])
    cost = order_cost(day, TUNING, np.zeros(4, dtype=np.int64), np.array([39.0, 40.0, 41.0, 61.0]))
    steps = np.diff(cost)
    assert steps[0] == 1
    assert steps[1] > 1
    assert steps[2] / 20 > steps[1]


def test_partners_leave_as_late_as_they_can_and_their_minutes_count() -> None:
    day = make_day([(640, 0)], [((640, 320), 0, 0, 20)], [((0, 0), 0, 100), ((0, 0), 0, 100)])
    packed = Packed.of([Units(day).of((0,))])
    seen = see(day, 0, free_min=[0, 25])
    edges = price(seen, TUNING, packed, np.zeros(2, dtype=np.int64), np.arange(2), 0.5)
    # Two minutes of way and half of the dwell before the goods are ready; the other one is free only later.
    assert edges.depart_min.tolist() == [16, 25]
    delivered, trip = np.array([25.0, 34.0]), np.array([27.0 - 16, 36.0 - 25])
    assert edges.cost == pytest.approx(delivered + 0.5 * trip)


@pytest.mark.parametrize(
    "changes",
    [
        {"off_min": np.array([19.0])},
        {"latest_min": np.array([20.0])},
        {"parcels_max": np.array([0])},
        {"weight_g": np.array([9]), "weight_g_max": np.array([8])},
        {"volume_cm3": np.array([9]), "volume_cm3_max": np.array([8])},
    ],
)
def test_what_a_partner_cannot_do_is_no_edge(changes: dict[str, np.ndarray]) -> None:
    day = make_day([(640, 0)], [((640, 320), 0, 0, 20)], [((0, 0), 0, 100)], **changes)
    packed, pair = Packed.of([Units(day).of((0,))]), np.zeros(1, dtype=np.int64)
    assert len(price(see(day, 0), TUNING, packed, pair, pair, 0.0).unit) == 0


def test_leaving_out_costs_nothing_more_while_the_partner_need_not_leave() -> None:
    day = make_day([(0, 0)], [((320, 0), 0, 0, 60), ((320, 0), 0, 0, 0)], [((0, 0), 0, 300)])
    made = Units(day)
    packed = Packed.of([made.of((0,)), made.of((1,))])
    best, depart = np.array([67.0, 7.0]), np.array([58.0, 0.0])
    cost = left_out(see(day, 0), TUNING, packed, best, depart, 0.0, wait_min=20.0)
    assert cost[0] == pytest.approx(67, abs=0.01)
    assert cost[1] > 7 + 10


def test_an_order_that_nobody_can_take_costs_what_it_does_undelivered() -> None:
    day = make_day([(0, 0)], [((320, 0), 0, 0, 0)], [])
    packed = Packed.of([Units(day).of((0,))])
    cost = left_out(see(day, 0), TUNING, packed, np.array([np.inf]), np.zeros(1), 0.0, wait_min=20.0)
    assert cost[0] == TUNING.undelivered
