"""Pressure rises with work and falls with partners."""

from services.assignment.matching.horizon.pressure import pressure
from services.assignment.matching.horizon.tuning import Tuning
from tests.unit.services.assignment.matching.horizon.days import make_day, see

ORDERS = [((1600.0, 0.0), 0, float(i), 20.0) for i in range(10)]


def test_twice_the_partners_halve_the_pressure() -> None:
    one = make_day([(0, 0)], ORDERS, [((0, 0), 0, 300)] * 5)
    two = make_day([(0, 0)], ORDERS, [((0, 0), 0, 300)] * 10)
    assert pressure(see(one, 10), Tuning()) == 2 * pressure(see(two, 10), Tuning())


def test_partners_who_are_busy_or_about_to_leave_count_for_less() -> None:
    day = make_day([(0, 0)], ORDERS, [((0, 0), 0, 300)] * 2)
    leaving = make_day([(0, 0)], ORDERS, [((0, 0), 0, 300), ((0, 0), 0, 20)])
    usual = pressure(see(day, 10), Tuning())
    assert pressure(see(day, 10, free_min=[0, 40]), Tuning()) > usual
    assert pressure(see(leaving, 10), Tuning()) > usual


def test_what_is_not_placed_yet_is_not_known() -> None:
    early = make_day([(0, 0)], ORDERS[:3], [((0, 0), 0, 300)])
    whole = make_day([(0, 0)], ORDERS, [((0, 0), 0, 300)])
    assert pressure(see(early, 2), Tuning()) == pressure(see(whole, 2), Tuning())
