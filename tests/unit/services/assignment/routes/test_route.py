"""What is left to do of what a partner holds."""

from dataclasses import replace

import pytest

from libs.ids import new_id
from services.assignment.deliveries.lifecycle import TERMINAL, DeliveryState
from services.assignment.routes.route import Held, StopKind, stops_of
from tests.factories import details


def held(state: DeliveryState, pickup_rank: float, drop_rank: float) -> Held:
    given = details()
    return Held(
        new_id(),
        new_id(),
        new_id(),
        state,
        given.pickup,
        given.drop,
        given.ready_at,
        given.drop_until,
        pickup_rank,
        drop_rank,
    )


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        (DeliveryState.OFFERED, [StopKind.PICKUP, StopKind.DROP]),
        (DeliveryState.ASSIGNED, [StopKind.PICKUP, StopKind.DROP]),
        (DeliveryState.PICKED_UP, [StopKind.DROP]),
        (DeliveryState.OUT_FOR_DELIVERY, [StopKind.DROP]),
        (DeliveryState.ATTEMPT_FAILED, [StopKind.DROP]),
        (DeliveryState.RETURNING, [StopKind.RETURN]),
    ],
)
def test_what_is_left_follows_from_the_state(state: DeliveryState, kinds: list[StopKind]) -> None:
    one = held(state, 1.0, 2.0)
    stops = stops_of([one])
    assert [stop.kind for stop in stops] == kinds
    for stop in stops:
        drops = stop.kind is StopKind.DROP
        assert stop.place == (one.drop if drops else one.pickup)
        assert stop.due_at == (one.drop_until if drops else None)
        assert stop.ready_at == (one.ready_at if stop.kind is StopKind.PICKUP else None)


def test_every_state_in_a_partners_hands_has_a_stop() -> None:
    for state in set(DeliveryState) - TERMINAL - {DeliveryState.PENDING}:
        assert stops_of([held(state, 1.0, 2.0)])


def test_ranks_order_the_visits_and_deliveries_from_before_keep_theirs() -> None:
    first, second = held(DeliveryState.ASSIGNED, 1.0, 4.0), held(DeliveryState.ASSIGNED, 2.0, 3.0)
    assert [(s.held, s.kind) for s in stops_of([second, first])] == [
        (first, StopKind.PICKUP),
        (second, StopKind.PICKUP),
        (second, StopKind.DROP),
        (first, StopKind.DROP),
    ]
    unranked = [replace(one, pickup_rank=0.0, drop_rank=0.0) for one in (first, second)]
    assert [(s.held, s.kind) for s in stops_of(unranked)] == [
        (one, kind) for one in unranked for kind in (StopKind.PICKUP, StopKind.DROP)
    ]
