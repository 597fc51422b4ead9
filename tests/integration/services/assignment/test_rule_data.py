"""What the rules know of partners, networks and merchants, from the call that says it to the match that obeys it."""

import asyncpg
import pytest
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, merchant_pb2, network_pb2, partner_pb2
from lastmile.common.v1 import money_pb2

from libs.ids import new_id
from libs.postgres.tenancy import Visibility, visible
from services.assignment.database import Database
from services.assignment.visibility import TENANT
from tests.assignment_api import AssignmentApi, Caller, place, profile, until

pytestmark = pytest.mark.usefixtures("matcher")
ASIDE = place(12.9800, 77.6100)
DELIVERED = (
    delivery_pb2.DELIVERY_STATE_PICKED_UP,
    delivery_pb2.DELIVERY_STATE_OUT_FOR_DELIVERY,
    delivery_pb2.DELIVERY_STATE_DELIVERED,
)


def rupees(amount: int, currency: str = "INR") -> money_pb2.Money:
    return money_pb2.Money(currency_code=currency, amount_minor=amount * 100)


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def stays(ops: Caller, delivery_id: str, reason: str) -> dict[str, int]:
    """Who was lost to what, once a window has left the delivery unassigned for this reason."""

    async def look() -> bool:
        return (await ops.get(delivery_id)).unassigned_reason == reason

    await until(look)
    return dict((await ops.explanation(delivery_id)).partners_lost)


async def health(ops: Caller, code: str, value: float, note: str = "") -> network_pb2.PartnerNetwork:
    request = network_pb2.SetNetworkHealthRequest(network_code=code, health=value, note=note)
    return (await ops.ask(ops.networks.SetNetworkHealth, request)).network


async def lists(caller: Caller, merchant: str, **ids: list[str]) -> merchant_pb2.MerchantPartners:
    given = {f"{name}_partner_ids": partner_ids for name, partner_ids in ids.items()}
    request = merchant_pb2.SetMerchantPartnersRequest(merchant_id=merchant, **given)
    return (await caller.ask(caller.merchants.SetMerchantPartners, request)).partners


async def test_a_profile_keeps_rating_cash_limit_and_network_until_it_is_replaced(ops: Caller) -> None:
    city = await ops.city()
    said = {"rating": 4.5, "cash_limit": rupees(500), "network_code": "swift-riders"}
    partner_id = await ops.partner(city, **said)
    get = partner_pb2.GetPartnerRequest(partner_id=partner_id)
    read = (await ops.ask(ops.partners.GetPartner, get)).partner.profile
    assert (read.rating, read.cash_limit, read.network_code) == tuple(said.values())
    request = partner_pb2.UpdatePartnerRequest(partner_id=partner_id, profile=profile(city))
    replaced = (await ops.ask(ops.partners.UpdatePartner, request)).partner.profile
    assert [replaced.HasField(name) for name in ("rating", "cash_limit")] == [False, False]
    assert replaced.network_code == ""
    for changes, field in (
        ({"rating": 5.1}, "profile.rating"),
        ({"rating": float("nan")}, "profile.rating"),
        ({"cash_limit": rupees(5, "USD")}, "profile.cash_limit"),
        ({"network_code": "No Spaces"}, "profile.network_code"),
    ):
        bad = partner_pb2.OnboardPartnerRequest(profile=profile(city, **changes))
        refusal = await ops.refused(ops.partners.OnboardPartner, bad)
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", (field,))


async def test_what_is_valuable_goes_to_those_who_are_trusted(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city, rating=3.0)
    valuable = await ops.delivery(city, merchant, declared_value=rupees(20_000))
    assert await stays(ops, valuable, "RATED_TOO_LOW") == {"RATED_TOO_LOW": 1}
    unrated = await ops.partner(city, home=ASIDE)
    assert (await ops.open_offer(valuable)).partner_id == unrated
    assert (await ops.explanation(valuable)).chosen.terms_s["rating"] == 60.0


async def test_a_network_that_is_down_gets_nothing_until_it_is_well(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, merchant, code = await ops.city(), await ops.merchant(), f"n-{new_id()}"
    partner_id = await ops.partner(city, network_code=code)
    first = await ops.open_offer(await ops.delivery(city, merchant))
    assert first.partner_id == partner_id, "a network of which nothing was said is well"
    down = await health(ops, code, 0.0, "does not answer")
    assert (down.code, down.health, down.note, down.version) == (code, 0.0, "does not answer", 1)
    assert await health(ops, code, 0.0, "does not answer") == down, "what says the same changes nothing"
    delivery_id = await ops.delivery(city, merchant)
    assert await stays(ops, delivery_id, "NETWORK_DOWN") == {"NETWORK_DOWN": 1}
    assert (await health(ops, code, 0.75)).version == 2
    await ops.open_offer(delivery_id)
    assert (await ops.explanation(delivery_id)).chosen.terms_s["network"] == 150.0
    found, token = [], ""
    while True:
        request = network_pb2.ListPartnerNetworksRequest(page_size=1, page_token=token)
        page = await ops.ask(ops.networks.ListPartnerNetworks, request)
        found += [(network.code, network.health) for network in page.networks]
        token = page.next_page_token
        if not token:
            break
    assert (code, 0.75) in found
    assert found == sorted(found)
    for bad, field in (
        ({"network_code": code}, "health"),
        ({"network_code": code, "health": 1.01}, "health"),
        ({"network_code": code, "health": float("nan")}, "health"),
        ({"network_code": "UPPER", "health": 1.0}, "network_code"),
    ):
        request = network_pb2.SetNetworkHealthRequest(**bad)
        assert (await ops.refused(ops.networks.SetNetworkHealth, request)).fields == (field,)
    partner = assignment_api.partner(partner_id)
    request = network_pb2.SetNetworkHealthRequest(network_code=code, health=1.0)
    assert (await partner.refused(partner.networks.SetNetworkHealth, request)).code == "PERMISSION_DENIED"


async def test_a_merchant_chooses_its_partners(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, merchant, other = await ops.city(), await ops.merchant(), await ops.merchant()
    near, far = await ops.partner(city), await ops.partner(city, home=ASIDE)
    me = assignment_api.merchant(merchant)
    empty = await me.ask(
        me.merchants.GetMerchantPartners, merchant_pb2.GetMerchantPartnersRequest(merchant_id=merchant)
    )
    assert empty.partners == merchant_pb2.MerchantPartners(merchant_id=merchant)
    stored = await lists(me, merchant, denied=[near])
    assert (stored.denied_partner_ids, stored.allowed_partner_ids, stored.version) == ([near], [], 1)
    assert (await ops.open_offer(await ops.delivery(city, merchant))).partner_id == far
    assert (await ops.open_offer(await ops.delivery(city, other))).partner_id == near
    await lists(me, merchant, denied=[near], allowed=[far])
    assert (await ops.open_offer(await ops.delivery(city, merchant))).partner_id == far
    offline = partner_pb2.SetAvailabilityRequest(partner_id=far, availability=partner_pb2.AVAILABILITY_OFFLINE)
    await ops.ask(ops.partners.SetAvailability, offline)
    delivery_id = await ops.delivery(city, merchant)
    # Its only partner has gone home: still nobody else.
    assert await stays(ops, delivery_id, "MERCHANT_REFUSES") == {"MERCHANT_REFUSES": 1, "OFFLINE": 1}
    assert (await lists(ops, merchant)).version == 3
    assert (await ops.open_offer(delivery_id)).partner_id == near


async def test_lists_are_replaced_whole_by_their_owner_or_ops_and_only_as_expected(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    merchant, other, partner_id = await ops.merchant(), await ops.merchant(), await ops.partner(await ops.city())
    me, stranger = assignment_api.merchant(merchant), assignment_api.merchant(other)
    get, put = me.merchants.GetMerchantPartners, me.merchants.SetMerchantPartners
    await lists(ops, merchant, denied=[partner_id])
    wanted = merchant_pb2.GetMerchantPartnersRequest(merchant_id=merchant)
    assert (await stranger.refused(get, wanted)).reason == "MERCHANT_NOT_FOUND"
    change = merchant_pb2.SetMerchantPartnersRequest(merchant_id=merchant)
    assert (await stranger.refused(put, change)).reason == "MERCHANT_NOT_FOUND"
    unknown = merchant_pb2.SetMerchantPartnersRequest(merchant_id=str(new_id()))
    assert (await ops.refused(put, unknown)).reason == "MERCHANT_NOT_FOUND"
    gone = str(new_id())
    wrong = merchant_pb2.SetMerchantPartnersRequest(
        merchant_id=merchant, allowed_partner_ids=[partner_id], denied_partner_ids=[gone, partner_id]
    )
    assert (await me.refused(put, wrong)).fields == ("denied_partner_ids[0]", "denied_partner_ids[1]")
    for version, reason in ((0, "VERSION_CONFLICT"), (2, "VERSION_CONFLICT"), (1, None)):
        change = merchant_pb2.SetMerchantPartnersRequest(
            merchant_id=merchant, allowed_partner_ids=[partner_id], expected_version=version
        )
        if reason:
            assert (await me.refused(put, change)).reason == reason
    key = str(new_id())
    first = (await me.ask(put, change, key)).partners
    assert (await me.ask(put, change, key)).partners == first
    assert (first.version, first.allowed_partner_ids, first.denied_partner_ids) == (2, [partner_id], [])
    fresh = merchant_pb2.SetMerchantPartnersRequest(merchant_id=other, expected_version=3)
    assert (await stranger.refused(put, fresh)).reason == "VERSION_CONFLICT"
    fresh.expected_version = 0
    assert (await stranger.ask(put, fresh)).partners.version == 1


async def test_the_database_itself_hides_lists_from_other_merchants(ops: Caller, database: Database) -> None:
    mine, theirs, partner_id = await ops.merchant(), await ops.merchant(), await ops.partner(await ops.city())
    for merchant in (mine, theirs):
        await lists(ops, merchant, denied=[partner_id])
    read = "SELECT merchant_id::text FROM assignment.merchant_partners"
    forged = "INSERT INTO assignment.merchant_partners VALUES ($1, '{}', '{}', 1, now())"
    async with database.primary.acquire() as connection:
        async with visible(connection, Visibility.of(TENANT, [mine])):
            assert [row["merchant_id"] for row in await connection.fetch(read)] == [mine]
            hidden = "UPDATE assignment.merchant_partners SET denied = '{}' WHERE merchant_id = $1"
            assert await connection.execute(hidden, theirs) == "UPDATE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with visible(connection, Visibility.of(TENANT, [mine])):
                await connection.execute(forged, await ops.merchant())
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(read)


async def test_who_has_earned_more_in_the_shift_is_dearer(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    busy, idle = await ops.partner(city), await ops.partner(city, home=ASIDE)
    done = await ops.delivery(city, merchant)
    offer = await ops.open_offer(done)
    assert offer.partner_id == busy
    partner = assignment_api.partner(busy)
    await partner.ask(partner.assignments.AcceptOffer, assignment_pb2.AcceptOfferRequest(offer_id=offer.id))
    for state in DELIVERED:
        request = delivery_pb2.RecordDeliveryStatusRequest(delivery_id=done, state=state)
        await partner.ask(partner.deliveries.RecordDeliveryStatus, request)

    async def dearer() -> bool:
        delivery_id = await ops.delivery(city, merchant)
        await ops.open_offer(delivery_id)
        said = await ops.explanation(delivery_id)
        terms = {cost.partner_id: cost.terms_s.get("fairness", 0.0) for cost in (said.chosen, *said.alternatives)}
        # Twice what the two earn on average.
        return terms == {busy: 60.0, idle: 0.0}

    await until(dearer)
