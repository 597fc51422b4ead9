"""Offers over gRPC with a matcher running: answered, expired, withdrawn, matched again."""

import asyncio

import asyncpg
import pytest
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from tests.assignment_api import AssignmentApi, Caller, place, until
from tests.invariants import broken_invariants

pytestmark = pytest.mark.usefixtures("matcher")
OPEN, ACCEPTED, REJECTED, EXPIRED, WITHDRAWN = (
    assignment_pb2.OfferState.Value(f"OFFER_STATE_{n}")
    for n in ("OPEN", "ACCEPTED", "REJECTED", "EXPIRED", "WITHDRAWN")
)
ASIDE = place(12.9800, 77.6000)


async def accept(caller: Caller, offer_id: str, key: str | None = None) -> assignment_pb2.Offer:
    request = assignment_pb2.AcceptOfferRequest(offer_id=offer_id)
    return (await caller.ask(caller.assignments.AcceptOffer, request, key)).offer


async def reject(caller: Caller, offer_id: str, reason: str = "TOO_FAR") -> assignment_pb2.Offer:
    request = assignment_pb2.RejectOfferRequest(offer_id=offer_id, reason=reason)
    return (await caller.ask(caller.assignments.RejectOffer, request)).offer


async def load_of(ops: Caller, partner_id: str) -> int:
    request = partner_pb2.GetPartnerRequest(partner_id=partner_id)
    return (await ops.ask(ops.partners.GetPartner, request)).partner.load.parcels


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def test_an_accepted_offer_is_the_assignment(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    delivery_id = await ops.delivery(city, merchant)
    offer = await ops.open_offer(delivery_id)
    assert (offer.partner_id, offer.delivery_id, offer.city_code) == (partner_id, delivery_id, city)
    assert offer.HasField("expires_at")
    assert not offer.HasField("answered_at")
    partner = assignment_api.partner(partner_id)
    accepted = await accept(partner, offer.id)
    assert accepted.state == ACCEPTED
    assert accepted.HasField("answered_at")
    assert await accept(partner, offer.id) == accepted, "accepting again answers the same"
    delivery = await partner.get(delivery_id)
    assert (delivery.state, delivery.partner_id) == (delivery_pb2.DELIVERY_STATE_ASSIGNED, partner_id)
    assert await load_of(ops, partner_id) == 1


async def test_a_rejected_delivery_goes_to_another_partner_and_the_explanation_says_so(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    near, far = await ops.partner(city), await ops.partner(city, home=ASIDE)
    delivery_id = await ops.delivery(city, merchant)
    first = await ops.open_offer(delivery_id)
    before = await ops.explanation(delivery_id)
    assert first.partner_id == before.chosen.partner_id == near
    assert (before.outcome, before.window_id, before.partners_feasible) == ("ASSIGNED", first.window_id, 2)
    assert before.chosen.cost_s == pytest.approx(first.cost_s) == pytest.approx(sum(before.chosen.terms_s.values()))
    assert [other.partner_id for other in before.alternatives] == [far]
    assert before.alternatives[0].cost_s > before.chosen.cost_s
    partner = assignment_api.partner(near)
    rejected = await reject(partner, first.id)
    assert (rejected.state, rejected.id) == (REJECTED, first.id)
    ops.reads_after(partner)
    second = await ops.open_offer(delivery_id, after=first.id)
    assert second.partner_id == far
    after = await ops.explanation(delivery_id)
    assert (after.outcome, after.chosen.partner_id, after.window_id) == ("ASSIGNED", far, second.window_id)
    assert (dict(after.partners_lost), after.partners_feasible) == ({"DECLINED_BEFORE": 1}, 1)
    assert (await load_of(ops, near), await load_of(ops, far)) == (0, 1)
    refusal = await assignment_api.partner(near).refused(
        ops.assignments.RejectOffer, assignment_pb2.RejectOfferRequest(offer_id=first.id, reason="TOO_FAR")
    )
    assert (refusal.code, refusal.reason, refusal.metadata["state"]) == (
        "FAILED_PRECONDITION",
        "OFFER_ENDED",
        "rejected",
    )


async def test_a_delivery_that_everyone_declined_stays_with_the_true_reason(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    delivery_id = await ops.delivery(city, merchant)
    await reject(assignment_api.partner(partner_id), (await ops.open_offer(delivery_id)).id)

    async def stays() -> bool:
        return (await ops.get(delivery_id)).unassigned_reason == "DECLINED_BEFORE"

    await until(stays)
    said = await ops.explanation(delivery_id)
    assert (said.outcome, dict(said.partners_lost), said.partners_feasible) == (
        "NO_FEASIBLE_PARTNER",
        {"DECLINED_BEFORE": 1},
        0,
    )
    assert not said.HasField("chosen")


async def test_an_accepted_delivery_that_is_handed_back_goes_to_another_partner(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    near, far = await ops.partner(city), await ops.partner(city, home=ASIDE)
    delivery_id = await ops.delivery(city, merchant)
    offer = await ops.open_offer(delivery_id)
    partner = assignment_api.partner(near)
    await accept(partner, offer.id)
    assert (await reject(partner, offer.id, "VEHICLE_BROKEN")).state == WITHDRAWN
    ops.reads_after(partner)
    assert (await ops.open_offer(delivery_id, after=offer.id)).partner_id == far
    history = await ops.ask(
        ops.deliveries.GetDeliveryHistory, delivery_pb2.GetDeliveryHistoryRequest(delivery_id=delivery_id)
    )
    assert "VEHICLE_BROKEN" in {change.reason for change in history.changes}


async def test_an_offer_that_nobody_answers_expires_and_the_delivery_goes_to_another_partner(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(offer_ttl_s=5), await ops.merchant()
    near, far = await ops.partner(city), await ops.partner(city, home=ASIDE)
    delivery_id = await ops.delivery(city, merchant)
    first = await ops.open_offer(delivery_id)
    assert first.partner_id == near
    (expired,) = await until(lambda: ops.offers(delivery_id, EXPIRED))
    assert expired.id == first.id
    late = await assignment_api.partner(near).refused(
        ops.assignments.AcceptOffer, assignment_pb2.AcceptOfferRequest(offer_id=first.id)
    )
    assert (late.code, late.reason, late.metadata["state"]) == ("FAILED_PRECONDITION", "OFFER_ENDED", "expired")
    second = await ops.open_offer(delivery_id, after=first.id)
    assert second.partner_id == far
    said = await ops.explanation(delivery_id)
    assert (said.chosen.partner_id, dict(said.partners_lost)) == (far, {"DECLINED_BEFORE": 1})
    history = await ops.ask(
        ops.deliveries.GetDeliveryHistory, delivery_pb2.GetDeliveryHistoryRequest(delivery_id=delivery_id)
    )
    back = next(c for c in history.changes if c.reason == "OFFER_EXPIRED")
    assert (back.actor, back.partner_id) == (delivery_pb2.ACTOR_MATCHER, near)
    assert await load_of(ops, near) == 0


async def test_an_offer_whose_time_is_over_is_refused_however_late_the_matcher_is(
    assignment_api: AssignmentApi, ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    offer = await ops.open_offer(await ops.delivery(city, merchant))
    connection = await asyncpg.connect(embedded_servers.dsn())
    try:
        await connection.execute(
            "UPDATE assignment.offers SET expires_at = now() - interval '1 second' WHERE id = $1", offer.id
        )
    finally:
        await connection.close()
    late = await assignment_api.partner(partner_id).refused(
        ops.assignments.AcceptOffer, assignment_pb2.AcceptOfferRequest(offer_id=offer.id)
    )
    assert (late.code, late.reason, late.metadata["state"]) == ("FAILED_PRECONDITION", "OFFER_ENDED", "expired")


async def test_cancelling_an_offered_delivery_withdraws_the_offer_and_frees_the_partner(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant_id = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    delivery_id = await ops.delivery(city, merchant_id)
    offer = await ops.open_offer(delivery_id)
    merchant = assignment_api.merchant(merchant_id)
    cancel = delivery_pb2.CancelDeliveryRequest(delivery_id=delivery_id, note="sold out")
    cancelled = (await merchant.ask(merchant.deliveries.CancelDelivery, cancel)).delivery
    assert cancelled.state == delivery_pb2.DELIVERY_STATE_CANCELLED
    (ended,) = await until(lambda: ops.offers(delivery_id, WITHDRAWN))
    assert ended.id == offer.id
    assert await load_of(ops, partner_id) == 0
    late = await assignment_api.partner(partner_id).refused(
        ops.assignments.AcceptOffer, assignment_pb2.AcceptOfferRequest(offer_id=offer.id)
    )
    assert (late.reason, late.metadata["state"]) == ("OFFER_ENDED", "withdrawn")
    # The last window made the match, and that stays true of it.
    assert (await ops.explanation(delivery_id)).chosen.partner_id == partner_id


async def test_another_partners_offer_is_not_found(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id, other_id = await ops.partner(city), await ops.partner(city, home=ASIDE)
    offer = await ops.open_offer(await ops.delivery(city, merchant))
    assert offer.partner_id == partner_id
    other = assignment_api.partner(other_id)
    for method, request in (
        (ops.assignments.AcceptOffer, assignment_pb2.AcceptOfferRequest),
        (ops.assignments.RejectOffer, assignment_pb2.RejectOfferRequest),
    ):
        for offer_id in (offer.id, str(new_id())):
            refusal = await other.refused(method, request(offer_id=offer_id))
            assert (refusal.code, refusal.reason) == ("NOT_FOUND", "OFFER_NOT_FOUND")
        refusal = await assignment_api.merchant(merchant).refused(method, request(offer_id=offer.id))
        assert refusal.code == "PERMISSION_DENIED"
        refusal = await other.refused(method, request(offer_id="x"))
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("offer_id",))
    assert (await ops.offers(offer.delivery_id))[0].state == OPEN


async def test_an_accept_honours_its_idempotency_key_even_when_it_changes_nothing(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    partner = assignment_api.partner(partner_id)
    first, second = [await ops.open_offer(await ops.delivery(city, merchant)) for _ in range(2)]
    key, other_key = str(new_id()), str(new_id())
    accepted = await accept(partner, first.id, key)
    assert await accept(partner, first.id, key) == accepted
    assert partner.metadata["idempotent-replayed"] == "true"
    await accept(partner, second.id, other_key)
    for used in (key, other_key):
        wrong = first if used == other_key else second
        refusal = await partner.refused(
            ops.assignments.AcceptOffer, assignment_pb2.AcceptOfferRequest(offer_id=wrong.id), used
        )
        assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "IDEMPOTENCY_KEY_REUSED")


async def test_fifty_accepts_at_once_with_and_without_a_key_accept_once(
    assignment_api: AssignmentApi, ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partner_id = await ops.partner(city)
    offer = await ops.open_offer(await ops.delivery(city, merchant))
    partner, key = assignment_api.partner(partner_id), str(new_id())
    accepts = (accept(partner, offer.id, key if n % 2 else None) for n in range(50))
    outcomes = await asyncio.gather(*accepts, return_exceptions=True)
    answers = {o.SerializeToString() for o in outcomes if isinstance(o, assignment_pb2.Offer)}
    assert len(answers) == 1
    refused = [o for o in outcomes if isinstance(o, BaseException)]
    assert all("IDEMPOTENCY_KEY_IN_FLIGHT" in str(o) or "is being worked on" in str(o) for o in refused), refused
    assert await broken_invariants(embedded_servers.dsn()) == {}


async def test_offers_are_listed_newest_first_page_by_page_and_a_partner_sees_its_own(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    mine, others = await ops.partner(city), await ops.partner(city, home=ASIDE)
    made = [await ops.open_offer(await ops.delivery(city, merchant)) for _ in range(6)]
    assert {offer.partner_id for offer in made} == {mine, others}
    request = assignment_pb2.ListOffersRequest(city_code=city, page_size=4)
    first = await ops.ask(ops.assignments.ListOffers, request)
    request.page_token = first.next_page_token
    second = await ops.ask(ops.assignments.ListOffers, request)
    assert [o.id for o in (*first.offers, *second.offers)] == [o.id for o in reversed(made)]
    assert second.next_page_token == ""
    partner = assignment_api.partner(mine)
    listed = (await partner.ask(ops.assignments.ListOffers, assignment_pb2.ListOffersRequest())).offers
    assert {o.id for o in listed} == {o.id for o in made if o.partner_id == mine}
    asked = assignment_pb2.ListOffersRequest(partner_id=others)
    assert (await partner.refused(ops.assignments.ListOffers, asked)).fields == ("partner_id",)
    elsewhere = assignment_pb2.ListOffersRequest(page_token=first.next_page_token)
    assert (await ops.refused(ops.assignments.ListOffers, elsewhere)).fields == ("page_token",)
