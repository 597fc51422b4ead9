"""Which orders can wait: none whose partner would be late for it."""

import numpy as np

from services.assignment.matching.horizon.situation import Visit
from services.assignment.matching.horizon.waiting import STAYS_MIN, leaving, pressing
from tests.unit.services.assignment.matching.horizon.days import make_day, see

EVERYONE_OFF_MIN = 300.0


def test_an_order_presses_where_its_soonest_partner_must_leave_before_the_next_moment() -> None:
    day = make_day([(960, 0)], [((960, 320), 0, 0, 20)], [((0, 0), 0, EVERYONE_OFF_MIN)])
    # Three minutes of way, and two of dwell before the goods are ready: it leaves at 15.
    assert not pressing(see(day, 13.9), np.array([0]))
    assert pressing(see(day, 14.1), np.array([0]))
    assert not pressing(see(day, 14.1), np.array([], dtype=np.int64))


def test_a_partner_who_is_off_duty_by_then_lets_no_order_wait() -> None:
    partners = [((960, 0), 0, 19.0), ((0, 0), 0, EVERYONE_OFF_MIN)]
    day = make_day([(960, 0)], [((960, 320), 0, 0, 20)], partners)
    assert pressing(see(day, 14.1), np.array([0]))


def test_an_order_presses_where_a_visit_to_its_pickup_is_about_to_leave() -> None:
    day = make_day([(960, 0)], [((960, 320), 0, 0, 10), ((960, 320), 0, 0, 40)], [((960, 0), 0, EVERYONE_OFF_MIN)])
    visit = Visit(0, 0, [0], 0, 0, 10, [13], 15)
    assert not pressing(see(day, 8, [visit], free_min=[15]), np.array([1]))
    assert pressing(see(day, 9.5, [visit], free_min=[15]), np.array([1]))


def test_what_leaves_later_is_left_for_later() -> None:
    orders = [((0, 0), 0, 0, 20), ((0, 0), 1, 0, 20), ((0, 0), 0, 0, 60)]
    day = make_day([(960, 0), (9600, 0)], orders, [((0, 0), 0, EVERYONE_OFF_MIN)])
    seen = see(day, 1)
    assert leaving(seen, seen.partners, 1).tolist() == [1]
    assert leaving(seen, seen.partners, 15).tolist() == [0, 1]
    assert leaving(seen, seen.partners[:0], 1).tolist() == [0, 1, 2]


def test_nobody_counts_on_a_partner_who_goes_off_duty_soon() -> None:
    day = make_day([(960, 0)], [((0, 0), 0, 0, 100)], [((0, 0), 0, 100.0)])
    seen = see(day, 1)
    assert leaving(seen, seen.partners, 100 - STAYS_MIN - 1).tolist() == []
    assert leaving(seen, seen.partners, 100 - STAYS_MIN).tolist() == [0]
