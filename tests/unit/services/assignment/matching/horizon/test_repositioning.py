"""Sending idle partners where orders are likely."""

import numpy as np

from services.assignment.matching.horizon.repositioning import repositioned
from services.assignment.matching.horizon.situation import Move
from services.assignment.matching.horizon.tuning import Tuning
from tests.unit.services.assignment.matching.horizon.days import make_day, see

NOBODY = np.empty(0, dtype=np.int64)
# All orders of the last hour were of the second pickup, three kilometres from the partners.
ORDERS = [((3200, 320), 1, float(i), 20.0) for i in range(6)]
DAY = make_day([(0, 0), (3200, 0)], ORDERS, [((0, 0), 0, 300), ((100, 0), 0, 300)], reposition=True)


def test_one_of_two_idle_partners_goes_to_where_orders_come_from() -> None:
    (move,) = repositioned(see(DAY, 10), Tuning(), NOBODY)
    assert move in (Move(0, 1), Move(1, 1))


def test_partners_with_something_to_do_stay() -> None:
    assert repositioned(see(DAY, 10), Tuning(), np.array([0, 1])) == []
    assert repositioned(see(DAY, 10, free_min=[50, 50]), Tuning(), NOBODY) == []


def test_nobody_moves_without_orders_or_shortly_before_the_shift_ends() -> None:
    assert repositioned(see(DAY, 90), Tuning(), NOBODY) == []
    assert repositioned(see(DAY, 290), Tuning(), NOBODY) == []


def test_a_partner_moves_once_at_a_time() -> None:
    orders = [((0, 0), pickup, 0.0, 20.0) for pickup in (1, 2)]
    day = make_day([(0, 0), (3200, 0), (-3200, 0)], orders, [((0, 0), 0, 300)] * 3, reposition=True)
    moves = repositioned(see(day, 10), Tuning(), NOBODY)
    assert len({move.partner for move in moves}) == len(moves) == 2
    assert {move.pickup for move in moves} == {1, 2}
