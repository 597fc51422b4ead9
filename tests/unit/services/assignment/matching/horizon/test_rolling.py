"""The shipped policy: late, ahead, together, and nobody starves."""

from dataclasses import replace

from services.assignment.matching.horizon.rolling import Rolling
from services.assignment.matching.horizon.situation import Take, Visit
from services.assignment.matching.horizon.tuning import Tuning
from tests.unit.services.assignment.matching.horizon.days import make_day, see


def test_a_partner_is_sent_when_it_must_leave_and_not_before() -> None:
    day = make_day([(960, 0)], [((960, 320), 0, 0, 20)], [((0, 0), 0, 300)])
    policy = Rolling(day)
    # Three minutes of way, and two of dwell before the goods are ready.
    assert policy.decide(see(day, 13)).takes == []
    assert policy.decide(see(day, 15)).takes == [Take(0, (0,))]


def test_an_order_waits_for_a_near_partner_who_is_about_to_be_free() -> None:
    day = make_day([(0, 0)], [((960, 320), 0, 0, 0)], [((9600, 0), 0, 300), ((0, 0), 0, 300)])
    policy = Rolling(day)
    assert policy.decide(see(day, 0, free_min=[0, 5])).takes == []
    assert policy.decide(see(day, 4.5, free_min=[0, 5])).takes == [Take(1, (0,))]
    assert policy.decide(see(day, 0, free_min=[0, 90])).takes == [Take(0, (0,))]


def test_a_visit_that_has_not_left_is_given_more() -> None:
    orders = [((1600, 0), 0, 0, 20), ((1600, 320), 0, 0, 20)]
    day = make_day([(0, 0)], orders, [((0, 0), 0, 300)])
    visit = Visit(0, 0, [0], 16, 18, 20, [29], 31)
    assert Rolling(day).decide(see(day, 18, [visit], free_min=[31])).takes == [Take(0, (0, 1), more=True)]


def test_scarce_partners_take_several_orders() -> None:
    orders = [((1600, 100 * i), 0, 0, 5) for i in range(4)]
    day = make_day([(0, 0)], orders, [((0, 0), 0, 300)])
    (take,) = Rolling(day, Tuning(bundle_max=4)).decide(see(day, 6)).takes
    assert sorted(take.orders) == [0, 1, 2, 3]
    (take,) = Rolling(day).decide(see(day, 6)).takes
    assert len(take.orders) == Tuning().bundle_max


def test_a_partner_carries_no_more_than_it_can() -> None:
    import numpy as np

    orders = [((1600, 100 * i), 0, 0, 5) for i in range(4)]
    day = make_day([(0, 0)], orders, [((0, 0), 0, 300)], parcels_max=np.array([3]))
    (take,) = Rolling(day).decide(see(day, 6)).takes
    assert len(take.orders) == 3


def test_an_order_that_would_miss_its_last_moment_comes_before_one_that_can_wait() -> None:
    orders = [((320, 0), 0, 60, 100), ((-320, 0), 1, 0, 60)]
    day = make_day([(0, 0), (0, 1000)], orders, [((0, 0), 0, 300)])
    (take,) = Rolling(day).decide(see(day, 72)).takes
    assert take.orders == (1,)


def test_between_two_moments_only_an_order_that_presses_is_decided() -> None:
    orders = [((960, 320), 0, 0.5, 5.5), ((-960, 320), 1, 0.5, 20)]
    day = make_day([(960, 0), (-960, 0)], orders, [((0, 0), 0, 300), ((-960, 0), 0, 300)])
    between = replace(see(day, 0.5), next_min=1.0)
    assert Rolling(day).decide(between).takes == [Take(0, (0,))]
    assert Rolling(day).decide(replace(between, orders=between.orders[1:])).takes == []


def test_nobody_on_duty_or_nothing_placed_decides_nothing() -> None:
    day = make_day([(0, 0)], [((320, 0), 0, 10, 12)], [((0, 0), 100, 300)])
    policy = Rolling(day)
    assert policy.decide(see(day, 5)).takes == []
    assert policy.decide(see(day, 11)).takes == []
