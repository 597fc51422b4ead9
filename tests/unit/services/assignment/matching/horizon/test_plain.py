"""The second baseline."""

from services.assignment.matching.horizon.plain import Plain
from services.assignment.matching.horizon.situation import Take
from tests.unit.services.assignment.matching.horizon.days import make_day, see


def test_idle_partners_get_one_order_each_at_least_total_time() -> None:
    orders = [((0, 0), 0, 0, 0), ((3200, 0), 1, 0, 0), ((0, 9000), 0, 1, 0)]
    # The first order's nearest partner is the second's only near one; the third, whose door is far, waits.
    day = make_day([(0, 0), (3200, 0)], orders, [((1500, 0), 0, 300), ((-1700, 0), 0, 300), ((0, 0), 0, 300)])
    decided = Plain().decide(see(day, 1, free_min=[0, 0, 99]))
    assert sorted(decided.takes, key=lambda take: take.partner) == [Take(0, (1,)), Take(1, (0,))]
    assert decided.cost == decided.lower_bound > 0


def test_without_idle_partners_nothing_is_decided() -> None:
    day = make_day([(0, 0)], [((320, 0), 0, 0, 0)], [((0, 0), 0, 300)])
    assert Plain().decide(see(day, 1, free_min=[5])).takes == []
