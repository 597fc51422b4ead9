"""What an explanation says would help does help: the changed delivery, submitted again, gets its partner."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lastmile.assignment.v1 import assignment_pb2, partner_pb2
from lastmile.common.v1 import parcel_pb2, time_pb2

from services.assignment.matching.changes import Kind
from tests.assignment_api import AssignmentApi, Caller, capacity, place, profile, until

pytestmark = pytest.mark.usefixtures("matcher")
EVERY_KIND = [getattr(assignment_pb2, f"REMEDY_KIND_{kind.name}") for kind in Kind]


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def explained(ops: Caller, delivery_id: str) -> assignment_pb2.Explanation:
    """Return the explanation of an unassigned delivery, once remedies have been sought."""

    async def look() -> assignment_pb2.Explanation | None:
        if not (await ops.get(delivery_id)).unassigned_reason:
            return None
        found = await ops.explanation(delivery_id)
        return found if found.remedies_tried else None

    return await until(look)


@pytest.mark.parametrize(
    ("text", "partner", "parcel", "changed"),
    [
        ("weight -300 g", {"capacity": capacity(4, weight_g=900)}, {}, {"weight_g": 900}),
        (
            "volume -1000 cm3",
            {"capacity": capacity(4, volume_cm3=8_000)},
            {},
            {"dimensions": parcel_pb2.Dimensions(length_mm=300, width_mm=200, height_mm=133)},
        ),
        (
            "longest side -50 mm",
            {},
            {"dimensions": parcel_pb2.Dimensions(length_mm=750, width_mm=10, height_mm=10)},
            {"dimensions": parcel_pb2.Dimensions(length_mm=700, width_mm=10, height_mm=10)},
        ),
        (
            "also by motorcycle",
            {},
            {"vehicles": [parcel_pb2.VEHICLE_VAN]},
            {"vehicles": [parcel_pb2.VEHICLE_VAN, parcel_pb2.VEHICLE_MOTORCYCLE]},
        ),
    ],
)
async def test_the_changed_delivery_gets_its_partner(
    ops: Caller, text: str, partner: dict[str, Any], parcel: dict[str, Any], changed: dict[str, Any]
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city, **partner)
    said = await explained(ops, await ops.delivery(city, merchant, **parcel))
    assert said.remedies[0].text == text
    assert list(said.remedies_tried) == EVERY_KIND
    assert [remedy.size for remedy in said.remedies] == sorted(remedy.size for remedy in said.remedies)
    accepted = await ops.delivery(city, merchant, **(parcel | changed))
    assert (await ops.open_offer(accepted)).delivery_id == accepted
    assigned = await ops.explanation(accepted)
    assert (list(assigned.remedies), list(assigned.remedies_tried)) == ([], [])


async def test_a_partner_who_stands_where_the_remedy_says_gets_the_delivery(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    delivery_id = await ops.delivery(city, merchant)
    said = await explained(ops, delivery_id)
    (remedy,) = said.remedies
    assert (said.outcome, remedy.kind) == ("NO_PARTNERS", assignment_pb2.REMEDY_KIND_PARTNER)
    assert (remedy.amount, remedy.text) == (8_000, "a partner within 8.0 km, by motorcycle, with room for it")
    assert list(remedy.vehicles) == [parcel_pb2.VEHICLE_MOTORCYCLE]
    partner_id = await ops.partner(city, home=place(12.9716 + 0.0719, 77.5946))
    assert (await ops.open_offer(delivery_id)).partner_id == partner_id


async def test_a_later_shift_is_told_by_when_it_starts(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    slot, start = time_pb2.TimeWindow(), datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=40)
    slot.start.FromDatetime(start)
    slot.end.FromDatetime(start + timedelta(hours=4))
    request = partner_pb2.OnboardPartnerRequest(
        profile=profile(city), availability=partner_pb2.AVAILABILITY_ONLINE, shift_slots=[slot]
    )
    await ops.ask(ops.partners.OnboardPartner, request)
    said = await explained(ops, await ops.delivery(city, merchant))
    (later,) = [r for r in said.remedies if r.kind == assignment_pb2.REMEDY_KIND_READY_LATER]
    assert 39 * 60 <= later.amount <= 40 * 60
    assert later.unit == "s"
    assert later.text.startswith("ready +")


def request_of(weight_g: int, asked: bool) -> assignment_pb2.MatchRequest:
    request = assignment_pb2.MatchRequest(with_remedies=asked)
    request.packages.add(
        id="parcel",
        pickup=place(12.9716, 77.5946),
        drop=place(12.9352, 77.6245),
        dimensions=parcel_pb2.Dimensions(length_mm=300, width_mm=200, height_mm=150),
        weight_g=weight_g,
    )
    request.partners.add(
        id="partner",
        location=place(12.9716, 77.6046),
        vehicle=parcel_pb2.VEHICLE_MOTORCYCLE,
        capacity_left=capacity(1, weight_g=900),
    )
    return request


async def test_a_match_on_demand_seeks_remedies_when_it_is_asked_to(ops: Caller) -> None:
    (silent,) = (await ops.ask(ops.assignments.Match, request_of(1_200, asked=False))).results
    assert (list(silent.remedies), list(silent.remedies_tried)) == ([], [])
    (said,) = (await ops.ask(ops.assignments.Match, request_of(1_200, asked=True))).results
    assert [remedy.text for remedy in said.remedies] == [
        "weight -300 g",
        "a partner within 8.0 km, by motorcycle, with room for it",
    ]
    assert list(said.remedies_tried) == EVERY_KIND
    assert (await ops.ask(ops.assignments.Match, request_of(1_200 - said.remedies[0].amount, asked=True))).assigned == 1
    assert (await ops.ask(ops.assignments.Match, request_of(1_201 - said.remedies[0].amount, asked=True))).assigned == 0
