"""PartnerService: translates between the calls and the noun's rules and store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from lastmile.assignment.v1 import partner_pb2, partner_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import Call, current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError, ServiceError
from libs.grpc_server.validation import violations_of
from libs.ids import new_id
from libs.postgres.log_messages import emit
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.errors import PartnerBusyError, PartnerNotFoundError, VersionConflictError
from services.assignment.events import LOG_PREFIX
from services.assignment.partners import store
from services.assignment.partners.codec import AVAILABILITIES, changed_event, partner_to, profile_from, slots_from
from services.assignment.partners.partner import Partner, Profile, profile_violations, slot_violations
from services.assignment.partners.position_intake import PositionIntake
from services.assignment.row_errors import row_error

# A batch gives the event loop back this often, so that other calls do not wait for all of its rows.
_ROWS_AT_ONCE = 50


class PartnerServicer(partner_pb2_grpc.PartnerServiceServicer):
    """Answers PartnerService."""

    def __init__(self, database: Database, directory: CityDirectory, positions: PositionIntake) -> None:
        self._database = database
        self._directory = directory
        self._positions = positions

    async def OnboardPartner(  # noqa: N802 - named by the proto
        self, request: partner_pb2.OnboardPartnerRequest, context: Any
    ) -> partner_pb2.OnboardPartnerResponse:
        """Take a partner on."""
        call = current_call()
        partner = await self._prepare(request, datetime.now(UTC))

        async def effect(connection: asyncpg.Connection, now: datetime) -> bytes:
            (error,) = await store.create(connection, [partner])
            if error is not None:
                raise error
            await emit(connection, LOG_PREFIX, [changed_event(partner, now, call.traceparent)])
            return partner_pb2.OnboardPartnerResponse(partner=partner_to(partner)).SerializeToString()

        return partner_pb2.OnboardPartnerResponse.FromString(await self._database.run(call, request, effect))

    async def BatchOnboardPartners(  # noqa: N802 - named by the proto
        self, request: partner_pb2.BatchOnboardPartnersRequest, context: Any
    ) -> partner_pb2.BatchOnboardPartnersResponse:
        """Take up to 1,000 partners on, each with its own outcome."""
        call, now = current_call(), datetime.now(UTC)
        outcomes: list[Partner | ServiceError] = []
        for place, row in enumerate(request.requests):
            if place % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                violations = violations_of(row)
                if violations:
                    raise InvalidArgumentError.of(*violations)
                outcomes.append(await self._prepare(row, now))
            except ServiceError as error:
                outcomes.append(error)

        async def effect(connection: asyncpg.Connection, now: datetime) -> bytes:
            good = [outcome for outcome in outcomes if isinstance(outcome, Partner)]
            errors = await store.create(connection, good) if good else []
            made = [partner for partner, error in zip(good, errors, strict=True) if error is None]
            await emit(connection, LOG_PREFIX, [changed_event(partner, now, call.traceparent) for partner in made])
            stored = iter(zip(good, errors, strict=True))
            results = []
            for outcome in outcomes:
                refusal = outcome if isinstance(outcome, ServiceError) else next(stored)[1]
                if refusal is not None:
                    results.append(partner_pb2.OnboardPartnerResult(error=row_error(refusal)))
                elif isinstance(outcome, Partner):
                    results.append(partner_pb2.OnboardPartnerResult(partner=partner_to(outcome)))
            return partner_pb2.BatchOnboardPartnersResponse(results=results).SerializeToString()

        return partner_pb2.BatchOnboardPartnersResponse.FromString(await self._database.run(call, request, effect))

    async def UpdatePartner(  # noqa: N802 - named by the proto
        self, request: partner_pb2.UpdatePartnerRequest, context: Any
    ) -> partner_pb2.UpdatePartnerResponse:
        """Replace a partner's profile."""
        call, profile = current_call(), profile_from(request.profile)
        violations = profile_violations(profile, await self._directory.get(profile.city_code))
        if violations:
            raise InvalidArgumentError.of(*violations)

        def change(partner: Partner) -> Partner:
            if request.expected_version and partner.version != request.expected_version:
                raise VersionConflictError(f"partner {partner.id} has version {partner.version} by now")
            _check_busy(partner, profile)
            return replace(partner, profile=profile)

        partner = await self._change(call, request, request.partner_id, change)
        return partner_pb2.UpdatePartnerResponse(partner=partner)

    async def GetPartner(  # noqa: N802 - named by the proto
        self, request: partner_pb2.GetPartnerRequest, context: Any
    ) -> partner_pb2.GetPartnerResponse:
        """Return one partner."""
        call = current_call()
        _check_own(call, request.partner_id)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            partner = await store.get(connection, UUID(request.partner_id))
        if partner is None:
            raise _not_found(request.partner_id)
        return partner_pb2.GetPartnerResponse(partner=partner_to(partner))

    async def ListPartners(  # noqa: N802 - named by the proto
        self, request: partner_pb2.ListPartnersRequest, context: Any
    ) -> partner_pb2.ListPartnersResponse:
        """List partners, newest first."""
        call, size = current_call(), paging.page_size(request)
        filters: dict[str, object] = {}
        if request.city_code:
            filters["city_code"] = request.city_code
        if request.availability:
            filters["availability"] = AVAILABILITIES[request.availability]
        if request.reference:
            filters["reference"] = request.reference
        async with self._database.query(call.principal, call.consistency_token) as connection:
            before_id = paging.decode_id(request)
            found = await store.search(connection, before_id=before_id, rows_max=size + 1, filters=filters)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return partner_pb2.ListPartnersResponse(partners=map(partner_to, found[:size]), next_page_token=token)

    async def SetAvailability(  # noqa: N802 - named by the proto
        self, request: partner_pb2.SetAvailabilityRequest, context: Any
    ) -> partner_pb2.SetAvailabilityResponse:
        """Open or close a partner to new work."""
        call = current_call()
        _check_own(call, request.partner_id)
        availability = AVAILABILITIES[request.availability]
        partner = await self._change(
            call, request, request.partner_id, lambda partner: replace(partner, availability=availability)
        )
        return partner_pb2.SetAvailabilityResponse(partner=partner)

    async def SetShiftSlots(  # noqa: N802 - named by the proto
        self, request: partner_pb2.SetShiftSlotsRequest, context: Any
    ) -> partner_pb2.SetShiftSlotsResponse:
        """Replace a partner's shift slots."""
        call = current_call()
        _check_own(call, request.partner_id)
        violations: list[FieldViolation] = []
        slots = slots_from(request.shift_slots, violations)
        violations = violations or slot_violations(slots, datetime.now(UTC))
        if violations:
            raise InvalidArgumentError.of(*violations)
        ordered = tuple(sorted(slots, key=lambda slot: slot.start))
        partner = await self._change(call, request, request.partner_id, lambda partner: replace(partner, slots=ordered))
        return partner_pb2.SetShiftSlotsResponse(partner=partner)

    async def ReportPosition(  # noqa: N802 - named by the proto
        self, request: partner_pb2.ReportPositionRequest, context: Any
    ) -> partner_pb2.ReportPositionResponse:
        """Record where a partner is."""
        call = current_call()
        _check_own(call, request.partner_id)
        await self._positions.report_one(UUID(request.partner_id), request.position)
        return partner_pb2.ReportPositionResponse()

    async def ReportPositions(  # noqa: N802 - named by the proto
        self, requests: AsyncIterator[partner_pb2.ReportPositionsRequest], context: Any
    ) -> partner_pb2.ReportPositionsResponse:
        """Record where many partners are."""
        own = current_call().principal.partner_id
        response = partner_pb2.ReportPositionsResponse()
        async for request in requests:
            accepted, refused = await self._positions.report_many(request.positions, own)
            response.accepted_count += accepted
            for reason, count in refused.items():
                response.refused_counts[reason] += count
        return response

    async def _prepare(self, request: partner_pb2.OnboardPartnerRequest, now: datetime) -> Partner:
        profile = profile_from(request.profile)
        violations = profile_violations(profile, await self._directory.get(profile.city_code))
        slots = slots_from(request.shift_slots, violations)
        violations += slot_violations(slots, now)
        if violations:
            raise InvalidArgumentError.of(*violations)
        ordered = sorted(slots, key=lambda slot: slot.start)
        return store.new_partner(new_id(), profile, AVAILABILITIES[request.availability], ordered, now)

    async def _change(self, call: Call, request: Any, partner_id: str, change: Any) -> partner_pb2.Partner:
        async def effect(connection: asyncpg.Connection, now: datetime) -> bytes:
            partner = await store.get(connection, UUID(partner_id), lock=True)
            if partner is None:
                raise _not_found(partner_id)
            changed: Partner = replace(change(partner), version=partner.version + 1, updated_at=now)
            await store.replace(connection, changed)
            await emit(connection, LOG_PREFIX, [changed_event(changed, now, call.traceparent)])
            return partner_to(changed).SerializeToString()

        return partner_pb2.Partner.FromString(await self._database.run(call, request, effect))


def _check_own(call: Call, partner_id: str) -> None:
    own = call.principal.partner_id
    if own is not None and own.lower() != partner_id.lower():
        raise _not_found(partner_id)


def _not_found(partner_id: str) -> PartnerNotFoundError:
    return PartnerNotFoundError(f"no partner that you may see has the id {partner_id}")


def _check_busy(partner: Partner, profile: Profile) -> None:
    held = (
        ("parcels", partner.parcels_held, profile.parcels_max),
        ("grams", partner.weight_g_held, profile.weight_g_max),
        ("cm3", partner.volume_cm3_held, profile.volume_cm3_max),
    )
    for unit, holds, room in held:
        if holds > room:
            raise PartnerBusyError(f"partner {partner.id} holds {holds} {unit}, more than the new capacity of {room}")
    if partner.parcels_held and partner.profile.city_code != profile.city_code:
        raise PartnerBusyError(
            f"partner {partner.id} holds {partner.parcels_held} parcels in {partner.profile.city_code}"
        )
