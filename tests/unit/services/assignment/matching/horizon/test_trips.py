"""How a visit runs in time."""

from services.assignment.matching.horizon.trips import drop_times, goods_min, leg_min
from tests.unit.services.assignment.matching.horizon.days import make_day

DAY = make_day([(0, 0)], [((320, 0), 0, 0, 5), ((320, 640), 0, 0, 5)], [((0, 0), 0, 100)])


def test_goods_leave_when_they_are_ready_and_half_the_dwell_is_over() -> None:
    assert goods_min(DAY, 1, 5) == 5
    assert goods_min(DAY, 4, 5) == 6


def test_drops_follow_legs_and_dwells() -> None:
    legs = leg_min(DAY, (0, 1), 0)
    assert legs == [1, 2]
    assert leg_min(DAY, (1,), 0)[0] == DAY.ride_min[1]
    assert drop_times(DAY, 10, legs) == ([15, 21], 23)
