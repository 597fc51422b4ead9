"""Partners' routes as columns: visits that are one, and routes that are too long."""

from dataclasses import replace

import numpy as np

from libs.ids import new_id
from services.assignment.deliveries.delivery import Point
from services.assignment.deliveries.lifecycle import DeliveryState
from services.assignment.matching.problem import Partners
from services.assignment.routes.columns import routes_of, within_limit
from services.assignment.routes.route import Held
from tests.factories import details

ASHA, BINA, CHITRA = new_id(), new_id(), new_id()
SHOP, OTHER = Point(12.97, 77.59), Point(12.98, 77.59)


def held(partner: object, pickup: Point, pickup_rank: float, drop_rank: float, **changes: object) -> Held:
    given = details()
    made = Held(
        ASHA, new_id(), new_id(), DeliveryState.ASSIGNED, pickup, given.drop, given.ready_at, given.drop_until,
        pickup_rank, drop_rank,
    )  # fmt: skip
    return replace(made, partner_id=partner, **changes)  # type: ignore[arg-type]  # names are the fields'


def test_pickups_in_a_row_at_one_place_are_one_visit_that_waits_for_the_last() -> None:
    one, two, three = held(CHITRA, SHOP, 1, 4), held(CHITRA, SHOP, 2, 5), held(CHITRA, OTHER, 3, 6)
    later = replace(two, ready_at=two.ready_at.replace(year=two.ready_at.year + 1))
    routes, ranks = routes_of([ASHA, BINA, CHITRA], [one, later, three], 60, 30)
    assert routes.offsets.tolist() == [0, 0, 0, 5]
    assert routes.pickup.tolist() == [1, 1, 0, 0, 0]
    assert routes.service_s.tolist() == [60, 60, 30, 30, 30]
    assert routes.ready_at_s[0] == later.ready_at.timestamp()
    assert np.isinf(routes.due_at_s[:2]).all()
    assert (ranks.first[0], ranks.last[0]) == (1, 2)
    assert ranks.first[1:].tolist() == ranks.last[1:].tolist() == [3, 4, 5, 6]
    assert not routes.parcels.any()


def test_pickups_at_one_place_with_a_drop_between_them_are_two_visits() -> None:
    routes, _ = routes_of([ASHA], [held(ASHA, SHOP, 1, 2), held(ASHA, SHOP, 3, 4)], 60, 60)
    assert routes.pickup.tolist() == [1, 0, 1, 0]


def test_a_partner_whose_route_is_too_long_gets_no_more() -> None:
    held_by_asha = [held(ASHA, OTHER, 2 * k, 2 * k + 1) for k in range(4)]
    routes, ranks = routes_of([ASHA, BINA], [*held_by_asha, held(BINA, SHOP, 1, 2)], 60, 60)
    partners = Partners.of(["asha", "bina"], np.zeros((2, 2)), parcels_left=np.array([5, 5]))
    limited, kept = within_limit(partners, routes, ranks, 7)
    assert limited.parcels_left.tolist() == limited.units_max.tolist() == [0, 5]
    assert limited.routes.lengths.tolist() == [0, 2]
    assert kept.first.tolist() == [1, 2]
    untouched, same = within_limit(partners, routes, ranks, 8)
    assert untouched.parcels_left.tolist() == [5, 5]
    assert same is ranks
