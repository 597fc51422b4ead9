"""Partners in a real database: onboarding, changes, and who may see whom."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from lastmile.assignment.v1 import partner_pb2
from lastmile.common.v1 import geo_pb2, parcel_pb2, time_pb2

from libs.grpc_server.errors import InvalidArgumentError
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from services.assignment.database import SERVICE
from services.assignment.errors import (
    PartnerBusyError,
    PartnerNotFoundError,
    ReferenceTakenError,
    VersionConflictError,
)
from services.assignment.events import timestamp
from services.assignment.partners import store

DAY = timedelta(days=1)


def onboarding(city_code: str, **changes: Any) -> partner_pb2.OnboardPartnerRequest:
    profile: dict[str, Any] = {
        "display_name": "Asha",
        "city_code": city_code,
        "vehicle": parcel_pb2.VEHICLE_MOTORCYCLE,
        "capacity": partner_pb2.Capacity(parcels_max=4, weight_g_max=20_000, volume_cm3_max=90_000, side_mm_max=900),
        "home": geo_pb2.Location(latitude_deg=12.97, longitude_deg=77.6),
    }
    return partner_pb2.OnboardPartnerRequest(profile=partner_pb2.PartnerProfile(**(profile | changes)))


def slots(*spans: tuple[timedelta, timedelta]) -> list[time_pb2.TimeWindow]:
    now = datetime.now(UTC)
    return [time_pb2.TimeWindow(start=timestamp(now + start), end=timestamp(now + end)) for start, end in spans]


async def test_a_partner_is_onboarded_with_everything_it_was_given(partners, city_code, answer) -> None:
    request = onboarding(city_code, reference=str(new_id()), preferred_zones=["tdr1", "tdr4"])
    request.shift_slots.extend(slots((2 * DAY, 2.5 * DAY), (DAY, 2 * DAY)))
    sent: dict[str, str] = {}
    made = (await answer(partners.OnboardPartner, request, sent=sent)).partner
    token = sent["consistency-token"]
    request.profile.acceptance = partner_pb2.ACCEPTANCE_BY_OFFER
    assert made.profile == request.profile
    assert made.availability == partner_pb2.AVAILABILITY_OFFLINE
    assert list(made.shift_slots) == list(reversed(request.shift_slots))
    read = await answer(partners.GetPartner, partner_pb2.GetPartnerRequest(partner_id=made.id), token=token)
    assert read.partner == made


async def test_an_unknown_city_and_a_far_home_are_invalid(partners, city_code, answer) -> None:
    for request, field in (
        (onboarding("NOWHERE"), "profile.city_code"),
        (onboarding(city_code, home=geo_pb2.Location(latitude_deg=28.6, longitude_deg=77.2)), "profile.home"),
    ):
        with pytest.raises(InvalidArgumentError) as refused:
            await answer(partners.OnboardPartner, request)
        assert refused.value.violations[0].field == field


async def test_concurrent_onboardings_with_one_reference_make_one_partner(partners, city_code, answer) -> None:
    request = onboarding(city_code, reference=str(new_id()))
    outcomes = await asyncio.gather(
        *(answer(partners.OnboardPartner, request) for _ in range(8)), return_exceptions=True
    )
    (winner,) = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, ReferenceTakenError)]
    assert len(refused) == 7
    assert {error.metadata["partner_id"] for error in refused} == {winner.partner.id}


async def test_a_batch_keeps_its_good_rows(partners, city_code, answer) -> None:
    reference = str(new_id())
    rows = [onboarding(city_code) for _ in range(6)]
    rows[1].profile.display_name = ""
    rows[2].profile.reference = rows[4].profile.reference = reference
    rows[3].profile.city_code = "NOWHERE"
    batch = partner_pb2.BatchOnboardPartnersRequest(requests=rows)
    key = str(new_id())
    sent: dict[str, str] = {}
    answered = await answer(partners.BatchOnboardPartners, batch, key=key, sent=sent)
    results = list(answered.results)
    assert [result.WhichOneof("outcome") for result in results] == [
        "partner", "error", "partner", "error", "error", "partner",
    ]  # fmt: skip
    assert results[1].error.field_violations[0].field == "profile.display_name"
    assert results[3].error.code == "INVALID_ARGUMENT"
    assert (results[4].error.code, results[4].error.reason) == ("ALREADY_EXISTS", "REFERENCE_TAKEN")
    assert results[4].error.metadata["partner_id"] == results[2].partner.id
    listing = partner_pb2.ListPartnersRequest(city_code=city_code)
    stored = (await answer(partners.ListPartners, listing, token=sent["consistency-token"])).partners
    assert [partner.id for partner in stored] == [results[place].partner.id for place in (5, 2, 0)]
    assert await answer(partners.BatchOnboardPartners, batch, key=key, sent=sent) == answered
    assert sent["idempotent-replayed"] == "true"


async def test_a_row_that_the_database_refuses_costs_no_other(database, partners, city_code, answer) -> None:
    made = (await answer(partners.OnboardPartner, onboarding(city_code))).partner
    async with database.command(SERVICE) as connection:
        partner = await store.get(connection, UUID(made.id))
        assert partner is not None
        rows = [replace(partner, id=new_id()) for _ in range(3)]
        rows[1] = replace(rows[1], profile=replace(partner.profile, city_code="NOWHERE"))
        errors = await store.onboard(connection, rows)
        assert [type(error) for error in errors] == [type(None), asyncpg.ForeignKeyViolationError, type(None)]
        assert await store.get(connection, rows[2].id) == rows[2]


async def test_a_full_batch_is_onboarded(partners, city_code, answer) -> None:
    rows = [onboarding(city_code, reference=str(new_id()), preferred_zones=["tdr"]) for _ in range(1_000)]
    response = await answer(partners.BatchOnboardPartners, partner_pb2.BatchOnboardPartnersRequest(requests=rows))
    assert [result.partner.profile.reference for result in response.results] == [row.profile.reference for row in rows]


async def test_an_update_replaces_the_profile_of_the_version_that_was_read(partners, city_code, answer) -> None:
    made = (await answer(partners.OnboardPartner, onboarding(city_code, preferred_zones=["tdr1"]))).partner
    profile = onboarding(city_code, display_name="Asha R", reference=str(new_id())).profile
    request = partner_pb2.UpdatePartnerRequest(partner_id=made.id, profile=profile, expected_version=1)
    updated = (await answer(partners.UpdatePartner, request)).partner
    assert (updated.version, updated.profile.display_name, list(updated.profile.preferred_zones)) == (2, "Asha R", [])
    with pytest.raises(VersionConflictError):
        await answer(partners.UpdatePartner, request)
    other = (await answer(partners.OnboardPartner, onboarding(city_code))).partner
    taken = partner_pb2.UpdatePartnerRequest(partner_id=other.id, profile=profile)
    with pytest.raises(ReferenceTakenError) as refused:
        await answer(partners.UpdatePartner, taken)
    assert refused.value.metadata == {"partner_id": made.id}
    with pytest.raises(PartnerNotFoundError):
        await answer(
            partners.UpdatePartner, partner_pb2.UpdatePartnerRequest(partner_id=str(new_id()), profile=profile)
        )


async def test_a_partner_that_carries_keeps_its_room(database, partners, city_code, answer) -> None:
    made = (await answer(partners.OnboardPartner, onboarding(city_code))).partner
    async with database.command(SERVICE) as connection:
        await connection.execute("UPDATE assignment.partners SET parcels_held = 3 WHERE id = $1", made.id)
    small = partner_pb2.Capacity(parcels_max=2, weight_g_max=20_000, volume_cm3_max=90_000, side_mm_max=900)
    request = partner_pb2.UpdatePartnerRequest(
        partner_id=made.id, profile=onboarding(city_code, capacity=small).profile
    )
    with pytest.raises(PartnerBusyError):
        await answer(partners.UpdatePartner, request)
    small.parcels_max = 3
    request.profile.capacity.CopyFrom(small)
    assert (await answer(partners.UpdatePartner, request)).partner.load.parcels == 3


async def test_a_partner_sees_and_changes_itself_only(partners, city_code, answer) -> None:
    sent: dict[str, str] = {}
    own, other = [(await answer(partners.OnboardPartner, onboarding(city_code), sent=sent)).partner for _ in range(2)]
    me = Principal("p", Role.PARTNER, partner_id=own.id)
    request = partner_pb2.SetAvailabilityRequest(partner_id=own.id, availability=partner_pb2.AVAILABILITY_ONLINE)
    changed = (await answer(partners.SetAvailability, request, principal=me)).partner
    assert (changed.availability, changed.version) == (partner_pb2.AVAILABILITY_ONLINE, 2)
    assert (await answer(partners.SetAvailability, request, principal=me)).partner.version == 2, "nothing has changed"
    shift = partner_pb2.SetShiftSlotsRequest(partner_id=own.id, shift_slots=slots((-DAY / 24, DAY / 24)))
    assert len((await answer(partners.SetShiftSlots, shift, principal=me)).partner.shift_slots) == 1
    request.partner_id = shift.partner_id = other.id
    for method, foreign in (
        (partners.SetAvailability, request),
        (partners.SetShiftSlots, shift),
        (partners.GetPartner, partner_pb2.GetPartnerRequest(partner_id=other.id)),
    ):
        with pytest.raises(PartnerNotFoundError):
            await answer(method, foreign, principal=me, token=sent["consistency-token"])


async def test_slots_that_overlap_are_refused(partners, city_code, answer) -> None:
    made = (await answer(partners.OnboardPartner, onboarding(city_code))).partner
    overlapping = slots((DAY, 2 * DAY), (1.5 * DAY, 2 * DAY))
    with pytest.raises(InvalidArgumentError):
        await answer(
            partners.SetShiftSlots, partner_pb2.SetShiftSlotsRequest(partner_id=made.id, shift_slots=overlapping)
        )


async def test_partners_are_listed_newest_first_page_by_page(partners, city_code, answer) -> None:
    sent: dict[str, str] = {}
    made = [(await answer(partners.OnboardPartner, onboarding(city_code), sent=sent)).partner.id for _ in range(5)]
    request = partner_pb2.ListPartnersRequest(city_code=city_code, page_size=2)
    listed = []
    for _ in range(3):
        page = await answer(partners.ListPartners, request, token=sent["consistency-token"])
        listed += [partner.id for partner in page.partners]
        request.page_token = page.next_page_token
    assert listed == made[::-1]
    assert not request.page_token
    request.availability = partner_pb2.AVAILABILITY_ONLINE
    assert not (await answer(partners.ListPartners, request)).partners
