"""Adding to visits that have not left yet."""

from services.assignment.matching.horizon.situation import Visit
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Units
from services.assignment.matching.horizon.visits import additions
from tests.unit.services.assignment.matching.horizon.days import make_day, see

ORDERS = [((1600, 0), 0, 0, 20), ((1600, 320), 0, 0, 20), ((0, 900), 1, 0, 20), ((1600, 0), 0, 0, 85)]
DAY = make_day([(0, 0), (0, 640)], ORDERS, [((0, 0), 0, 300)])
# On its way to pickup 0 for order 0.
VISIT = Visit(0, 0, [0], 16, 18, 20, [20 + 2 + 5 + 2], 31)


def test_what_is_added_costs_its_own_time_and_the_delay_of_the_others() -> None:
    made = Units(DAY)
    found = additions(see(DAY, 17, [VISIT]), Tuning(), made, [made.of((1,)), made.of((2,))], 0.0, 6)
    assert found.unit.tolist() == [0]
    assert found.orders == [(0, 1)]
    # Dropped a minute of way and four of dwell after the other, which loses nothing.
    assert found.cost[0] == 29 + 1 + 4


def test_nothing_is_added_that_would_be_too_much_or_too_late() -> None:
    made = Units(DAY)
    seen = see(DAY, 17, [VISIT])
    assert not len(additions(seen, Tuning(), made, [made.of((1,))], 0.0, 1).unit)
    # Order 0 would be dropped after its last moment, waiting for order 3.
    assert not len(additions(seen, Tuning(), made, [made.of((3,))], 0.0, 6).unit)
