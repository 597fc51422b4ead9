"""Partners' routes on real servers: extended window by window, never reshuffled, and shorter with everything done."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from tests.assignment_api import AssignmentApi, Caller, capacity, details, place, until

pytestmark = pytest.mark.usefixtures("matcher")
PICKUP, DROP, RETURN = (
    assignment_pb2.STOP_KIND_PICKUP,
    assignment_pb2.STOP_KIND_DROP,
    assignment_pb2.STOP_KIND_RETURN,
)
Visit = tuple[str, int]


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def route(caller: Caller, partner_id: str) -> list[Visit]:
    request = assignment_pb2.GetPartnerRouteRequest(partner_id=partner_id)
    answer = await caller.ask(caller.assignments.GetPartnerRoute, request)
    return [(stop.delivery_id, stop.kind) for stop in answer.stops]


async def record(ops: Caller, delivery_id: str, *states: int, **given: Any) -> None:
    for state in states:
        request = delivery_pb2.RecordDeliveryStatusRequest(delivery_id=delivery_id, state=state, **given)
        await ops.ask(ops.deliveries.RecordDeliveryStatus, request)


async def test_a_route_grows_window_by_window_and_who_is_there_keeps_its_place(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city, capacity=capacity(9))
    far, halfway = place(12.9716, 77.6600), place(12.9716, 77.6300)
    seen: list[Visit] = []
    for drop in (far, halfway, place(12.9352, 77.6245), place(12.9716, 77.6450), place(12.9900, 77.5900)):
        delivery_id = await ops.delivery(city, merchant, drop=drop)
        await ops.open_offer(delivery_id)
        now = await route(ops, partner_id)
        assert sorted(now) == sorted([*seen, (delivery_id, PICKUP), (delivery_id, DROP)])
        assert [visit for visit in now if visit in seen] == seen
        assert now.index((delivery_id, PICKUP)) < now.index((delivery_id, DROP))
        seen = now
    # All five wait at one place.
    assert [kind for _, kind in seen[:5]] == [PICKUP] * 5
    drops = [delivery_id for delivery_id, kind in seen if kind == DROP]
    assert len(drops) == 5


async def test_a_parcel_on_the_way_is_dropped_on_the_way(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city, capacity=capacity(9))
    far = await ops.delivery(city, merchant, drop=place(12.9716, 77.6600))
    await ops.open_offer(far)
    near = await ops.delivery(city, merchant, drop=place(12.9716, 77.6300))
    offer = await ops.open_offer(near)
    found = await route(ops, partner_id)
    assert found[2:] == [(near, DROP), (far, DROP)]
    # It lies on the way: the route gains nothing but the dwells.
    assert offer.cost_s < 600


async def test_a_partner_with_one_route_and_packages_of_one_window_gets_them_in_one_order(ops: Caller) -> None:
    city, merchant = await ops.city(window_ms=600), await ops.merchant()
    partner_id = await ops.partner(city, capacity=capacity(9))
    ids = [await ops.delivery(city, merchant, drop=place(12.9716, 77.60 + k / 100)) for k in (4, 1, 3, 2)]
    offers = [await ops.open_offer(delivery_id) for delivery_id in ids]
    found = await route(ops, partner_id)
    assert len(found) == 8
    if len({offer.window_id for offer in offers}) == 1:
        near_to_far = [ids[1], ids[3], ids[2], ids[0]]
        assert [delivery_id for delivery_id, kind in found if kind == DROP] == near_to_far


async def test_what_is_done_leaves_the_route_and_what_fails_goes_back(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city, capacity=capacity(9), acceptance=partner_pb2.ACCEPTANCE_AUTOMATIC)
    one, other = [await ops.delivery(city, merchant) for _ in range(2)]
    for delivery_id in (one, other):

        async def assigned(wanted: str = delivery_id) -> bool:
            return (await ops.get(wanted)).state == delivery_pb2.DELIVERY_STATE_ASSIGNED

        await until(assigned)
    await record(ops, one, delivery_pb2.DELIVERY_STATE_PICKED_UP)
    assert sorted(await route(ops, partner_id)) == sorted([(one, DROP), (other, PICKUP), (other, DROP)])
    await record(ops, one, delivery_pb2.DELIVERY_STATE_RETURNING, reason="DAMAGED")
    found = await route(ops, partner_id)
    assert (one, RETURN) in found
    await record(ops, other, delivery_pb2.DELIVERY_STATE_PICKED_UP, delivery_pb2.DELIVERY_STATE_OUT_FOR_DELIVERY)
    await record(ops, other, delivery_pb2.DELIVERY_STATE_DELIVERED)
    await record(ops, one, delivery_pb2.DELIVERY_STATE_RETURNED)
    assert await route(ops, partner_id) == []


async def test_a_partner_sees_its_own_route_only(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    delivery_id = await ops.delivery(city, merchant)
    await ops.open_offer(delivery_id)
    me = assignment_api.partner(partner_id)
    assert await route(me, partner_id) == [(delivery_id, PICKUP), (delivery_id, DROP)]
    for stranger, wanted in ((assignment_api.partner(str(new_id())), partner_id), (ops, str(new_id()))):
        request = assignment_pb2.GetPartnerRouteRequest(partner_id=wanted)
        refusal = await stranger.refused(stranger.assignments.GetPartnerRoute, request)
        assert (refusal.code, refusal.reason) == ("NOT_FOUND", "PARTNER_NOT_FOUND")
    sender = assignment_api.merchant(merchant)
    request = assignment_pb2.GetPartnerRouteRequest(partner_id=partner_id)
    assert (await sender.refused(sender.assignments.GetPartnerRoute, request)).code == "PERMISSION_DENIED"


async def test_parcels_that_travel_well_together_go_to_one_partner_where_partners_are_few(ops: Caller) -> None:
    city, merchant = await ops.city(window_ms=600_000, window_deliveries_max=4), await ops.merchant()
    partners = [await ops.partner(city, capacity=capacity(4)) for _ in range(2)]
    east, west = [(12.9716, 77.63), (12.9717, 77.64)], [(12.9716, 77.56), (12.9717, 77.55)]
    rows = [details(city, merchant, drop=place(*at)) for at in (east[0], west[0], west[1], east[1])]
    ids = await ops.many_deliveries(rows)
    offers = {delivery_id: await ops.open_offer(delivery_id) for delivery_id in ids}
    assert offers[ids[0]].partner_id == offers[ids[3]].partner_id
    assert offers[ids[1]].partner_id == offers[ids[2]].partner_id
    assert {offer.partner_id for offer in offers.values()} == set(partners)
    found = await route(ops, offers[ids[0]].partner_id)
    assert [kind for _, kind in found] == [PICKUP, PICKUP, DROP, DROP]
    assert [delivery_id for delivery_id, _ in found[2:]] == [ids[0], ids[3]]
    answer = await ops.ask(ops.assignments.ListWindows, assignment_pb2.ListWindowsRequest(city_code=city))
    (window,) = answer.windows
    assert (window.assigned, window.bundles) == (4, 2)
    assert window.cost_s == pytest.approx(sum(offer.cost_s for offer in offers.values()))
    for delivery_id, offer in offers.items():
        said = await ops.explanation(delivery_id)
        assert said.chosen.cost_s == pytest.approx(offer.cost_s)
        assert sum(said.chosen.terms_s.values()) == pytest.approx(offer.cost_s, abs=0.01)


async def test_what_was_offered_before_there_were_ranks_is_on_the_route_and_is_extended(
    ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city, capacity=capacity(4))
    old = await ops.delivery(city, merchant)
    offer = await ops.open_offer(old)
    connection = await asyncpg.connect(embedded_servers.dsn())
    try:
        await connection.execute(
            "UPDATE assignment.offers SET pickup_rank = NULL, drop_rank = NULL WHERE id = $1", UUID(offer.id)
        )
        new = await ops.delivery(city, merchant, drop=place(12.9352, 77.6300))
        await ops.open_offer(new)
        found = await route(ops, partner_id)
        assert [visit for visit in found if visit[0] == old] == [(old, PICKUP), (old, DROP)]
        assert [visit for visit in found if visit[0] == new] == [(new, PICKUP), (new, DROP)]
    finally:
        # So that the invariants hold again for the tests that share these servers.
        await connection.execute(
            "UPDATE assignment.offers SET pickup_rank = 1, drop_rank = 2 WHERE id = $1", UUID(offer.id)
        )
        await connection.close()
