"""The first baseline."""

from services.assignment.matching.horizon.greedy import Greedy
from services.assignment.matching.horizon.situation import Take
from tests.unit.services.assignment.matching.horizon.days import make_day, see


def test_each_order_goes_to_whoever_delivers_it_earliest_though_busy() -> None:
    orders = [((320, 0), 0, 0, 0), ((320, 0), 0, 1, 0)]
    day = make_day([(0, 0)], orders, [((0, 320), 0, 300), ((0, 32_000), 0, 300)])
    decided = Greedy().decide(see(day, 1))
    assert decided.takes == [Take(0, (0,)), Take(0, (1,))]


def test_an_order_is_given_to_nobody_rather_than_too_late() -> None:
    day = make_day([(0, 0)], [((320, 0), 0, 0, 0)], [((0, 32_000), 0, 300)])
    assert Greedy().decide(see(day, 1)).takes == []
