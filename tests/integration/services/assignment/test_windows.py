"""Windows of a running matcher: what they cost, what explains them, the true reason of what they leave unassigned."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lastmile.assignment.v1 import assignment_pb2, partner_pb2
from lastmile.common.v1 import parcel_pb2, time_pb2

from libs.ids import new_id
from tests.assignment_api import AssignmentApi, Caller, capacity, place, profile, until

pytestmark = pytest.mark.usefixtures("matcher")
TOMORROW = time_pb2.TimeWindow()
TOMORROW.start.FromDatetime(datetime.now(UTC) + timedelta(days=1))
TOMORROW.end.FromDatetime(datetime.now(UTC) + timedelta(days=1, hours=8))


async def windows_of(ops: Caller, city: str, **asked: Any) -> assignment_pb2.ListWindowsResponse:
    return await ops.ask(ops.assignments.ListWindows, assignment_pb2.ListWindowsRequest(city_code=city, **asked))


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


@pytest.mark.parametrize(
    ("reason", "partner", "parcel"),
    [
        ("WRONG_VEHICLE", {}, {"vehicles": [parcel_pb2.VEHICLE_VAN]}),
        ("TOO_LONG", {}, {"dimensions": parcel_pb2.Dimensions(length_mm=701, width_mm=10, height_mm=10)}),
        ("TOO_HEAVY", {"capacity": capacity(4, weight_g=1_199)}, {}),
        ("TOO_BULKY", {"capacity": capacity(4, volume_cm3=8_999)}, {}),
        ("TOO_FAR", {"home": place(13.1500, 77.5946)}, {}),
        ("OFF_SHIFT", {"shift_slots": [TOMORROW]}, {}),
        ("OFFLINE", {"availability": partner_pb2.AVAILABILITY_OFFLINE}, {}),
    ],
)
async def test_what_stays_unassigned_keeps_the_true_reason(
    ops: Caller, reason: str, partner: dict[str, Any], parcel: dict[str, Any]
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    asked = {name: partner.pop(name) for name in ("shift_slots", "availability") if name in partner}
    request = partner_pb2.OnboardPartnerRequest(
        profile=profile(city, **partner), **({"availability": partner_pb2.AVAILABILITY_ONLINE} | asked)
    )
    await ops.ask(ops.partners.OnboardPartner, request)
    delivery_id = await ops.delivery(city, merchant, **parcel)

    async def unassigned_reason() -> str:
        return (await ops.get(delivery_id)).unassigned_reason

    assert await until(unassigned_reason) == reason
    said = await ops.explanation(delivery_id)
    assert (said.outcome, dict(said.partners_lost)) == ("NO_FEASIBLE_PARTNER", {reason: 1})
    assert (said.partners_feasible, list(said.alternatives), said.HasField("chosen")) == (0, [], False)
    window = next(w for w in (await windows_of(ops, city)).windows if w.id == said.window_id)
    assert (window.assigned, window.feasible_pairs, window.cost_s, window.conflicts) == (0, 0, 0.0, 0)


async def test_a_window_states_its_size_its_cost_and_its_times(ops: Caller) -> None:
    city, merchant = await ops.city(window_ms=400), await ops.merchant()
    for home in ((12.9716, 77.5946), (12.9800, 77.6000), (12.9900, 77.5800)):
        await ops.partner(city, capacity=capacity(1), home=place(*home))
    ids = [await ops.delivery(city, merchant) for _ in range(3)]
    offers = [await ops.open_offer(delivery_id) for delivery_id in ids]
    windows = (await windows_of(ops, city)).windows
    assert {offer.window_id for offer in offers} <= {window.id for window in windows}
    assert sum(window.assigned for window in windows) == 3
    for window in windows:
        mine = [offer for offer in offers if offer.window_id == window.id]
        assert window.city_code == city
        assert window.deliveries >= window.assigned == len(mine)
        assert window.cost_s == pytest.approx(sum(offer.cost_s for offer in mine))
        assert window.partners <= 3
        assert window.feasible_pairs <= window.deliveries * window.partners
        assert min(window.build_ms, window.solve_ms, window.commit_ms) > 0
        assert abs(window.closed_at.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_window_closes_by_size_before_its_time(ops: Caller) -> None:
    city, merchant = await ops.city(window_ms=600_000, window_deliveries_max=2), await ops.merchant()
    await ops.partner(city)
    ids = [await ops.delivery(city, merchant) for _ in range(2)]
    offers = [await ops.open_offer(delivery_id) for delivery_id in ids]
    assert len({offer.window_id for offer in offers}) == 1
    (window,) = (await windows_of(ops, city)).windows
    assert (window.deliveries, window.assigned) == (2, 2)


async def test_windows_are_listed_newest_first_page_by_page_for_ops_alone(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city, capacity=capacity(9))
    for _ in range(5):
        await ops.open_offer(await ops.delivery(city, merchant))
    everything = [window.id for window in (await windows_of(ops, city)).windows]
    assert len(everything) == 5
    assert everything == sorted(everything, reverse=True)
    pages, token = [], ""
    while True:
        page = await windows_of(ops, city, page_size=2, page_token=token)
        pages.append([window.id for window in page.windows])
        token = page.next_page_token
        if not token:
            break
    assert pages == [everything[:2], everything[2:4], everything[4:]]
    first = await windows_of(ops, city, page_size=2)
    for wrong in (
        assignment_pb2.ListWindowsRequest(city_code="", page_size=2, page_token=first.next_page_token),
        assignment_pb2.ListWindowsRequest(city_code=city, page_token="nonsense"),
    ):
        refusal = await ops.refused(ops.assignments.ListWindows, wrong)
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("page_token",))
    stranger = assignment_api.merchant(merchant)
    refusal = await stranger.refused(ops.assignments.ListWindows, assignment_pb2.ListWindowsRequest(city_code=city))
    assert refusal.code == "PERMISSION_DENIED"


async def test_an_explanation_is_for_those_who_may_see_the_delivery(assignment_api: AssignmentApi, ops: Caller) -> None:
    city, mine, theirs = await ops.city(), await ops.merchant(), await ops.merchant()
    delivery_id = await ops.delivery(city, mine)
    merchant, stranger = assignment_api.merchant(mine), assignment_api.merchant(theirs)

    async def stays() -> str:
        return (await ops.get(delivery_id)).unassigned_reason

    assert await until(stays) == "NO_PARTNERS"
    assert (await merchant.explanation(delivery_id)).outcome == "NO_PARTNERS"
    request = assignment_pb2.ExplainDeliveryRequest(delivery_id=delivery_id)
    refusal = await stranger.refused(ops.assignments.ExplainDelivery, request)
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "DELIVERY_NOT_FOUND")
    unknown = assignment_pb2.ExplainDeliveryRequest(delivery_id=str(new_id()))
    assert (await ops.refused(ops.assignments.ExplainDelivery, unknown)).code == "NOT_FOUND"


async def test_nothing_is_explained_before_the_first_window(ops: Caller) -> None:
    city, merchant = await ops.city(window_ms=600_000), await ops.merchant()
    delivery_id = await ops.delivery(city, merchant)
    refusal = await ops.refused(
        ops.assignments.ExplainDelivery, assignment_pb2.ExplainDeliveryRequest(delivery_id=delivery_id)
    )
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "NOT_MATCHED_YET")


async def test_a_delivery_whose_only_partner_is_full_by_then_is_told_so(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city, capacity=capacity(1))
    ids = [await ops.delivery(city, merchant) for _ in range(2)]

    async def reasons() -> list[str] | None:
        found = [(await ops.get(d)).unassigned_reason for d in ids]
        return found if sorted(found) == ["", "NO_PARCELS_LEFT"] else None

    found = await until(reasons)
    assigned, left = ids[found.index("")], ids[found.index("NO_PARCELS_LEFT")]
    assert (await ops.explanation(assigned)).outcome == "ASSIGNED"
    said = await ops.explanation(left)
    assert (said.outcome, dict(said.partners_lost)) == ("NO_FEASIBLE_PARTNER", {"NO_PARCELS_LEFT": 1})
