"""PartnerService: translates between the calls and the noun's rules, store and position book."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from google.protobuf.message import Message
from lastmile.assignment.v1 import partner_pb2, partner_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import Call, current_call
from libs.grpc_server.errors import InvalidArgumentError, ServiceError
from libs.grpc_server.validation import violations_of
from libs.ids import new_id
from libs.postgres.errors import translate
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.errors import PartnerBusyError, PartnerNotFoundError, VersionConflictError
from services.assignment.partners import rules, store
from services.assignment.partners.codec import (
    AVAILABILITIES,
    availability_from,
    changed_event,
    changed_events,
    partner_to,
    profile_from,
    sighting_from,
    sightings_from,
    slots_from,
)
from services.assignment.partners.partner import Load, Partner
from services.assignment.partners.position_intake import PositionIntake
from services.assignment.partners.positions import Flush
from services.assignment.partners.sightings import Refusal
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
        partner = await self._new_partner(request, datetime.now(UTC))

        async def effect(connection: asyncpg.Connection) -> bytes:
            (error,) = await store.onboard(connection, [partner])
            if error is not None:
                raise error
            await store.tell(connection, [changed_event(partner, call.traceparent)])
            return partner_pb2.OnboardPartnerResponse(partner=partner_to(partner)).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        return partner_pb2.OnboardPartnerResponse.FromString(response)

    async def BatchOnboardPartners(  # noqa: N802 - named by the proto
        self, request: partner_pb2.BatchOnboardPartnersRequest, context: Any
    ) -> partner_pb2.BatchOnboardPartnersResponse:
        """Take up to 1,000 partners on, each with its own outcome."""
        call, now = current_call(), datetime.now(UTC)
        outcomes: list[Partner | Exception] = []
        for place, row in enumerate(request.requests):
            if place % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
            violations = violations_of(row)
            try:
                if violations:
                    raise InvalidArgumentError.of(*violations)
                outcomes.append(await self._new_partner(row, now))
            except ServiceError as error:
                outcomes.append(error)

        async def effect(connection: asyncpg.Connection) -> bytes:
            await _onboard_good(connection, outcomes, call)
            results = [_result(outcome) for outcome in outcomes]
            return partner_pb2.BatchOnboardPartnersResponse(results=results).SerializeToString()

        response = await self._database.run_command(call, request, effect)
        return partner_pb2.BatchOnboardPartnersResponse.FromString(response)

    async def UpdatePartner(  # noqa: N802 - named by the proto
        self, request: partner_pb2.UpdatePartnerRequest, context: Any
    ) -> partner_pb2.UpdatePartnerResponse:
        """Replace a partner's profile."""
        profile = profile_from(request.profile)
        violations = rules.profile_violations(profile, await self._directory.get(profile.city_code))
        if violations:
            raise InvalidArgumentError.of(*violations)

        def change(partner: Partner) -> Partner:
            if request.expected_version not in (0, partner.version):
                raise VersionConflictError(
                    f"partner {partner.id} is at version {partner.version}, not {request.expected_version}",
                    metadata={"version": str(partner.version)},
                )
            busy = rules.why_busy(partner, profile)
            if busy is not None:
                raise PartnerBusyError(f"partner {partner.id}: {busy}")
            return replace(partner, profile=profile)

        partner_id = UUID(request.partner_id)
        response = await self._change(request, partner_id, change, partner_pb2.UpdatePartnerResponse)
        self._positions.partner_cities.forget(partner_id)
        return partner_pb2.UpdatePartnerResponse.FromString(response)

    async def GetPartner(  # noqa: N802 - named by the proto
        self, request: partner_pb2.GetPartnerRequest, context: Any
    ) -> partner_pb2.GetPartnerResponse:
        """Return one partner."""
        call, partner_id = current_call(), UUID(request.partner_id)
        _check_own(call, partner_id)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            partner = _found(await store.get(connection, partner_id), partner_id)
        return partner_pb2.GetPartnerResponse(partner=partner_to(partner))

    async def ListPartners(  # noqa: N802 - named by the proto
        self, request: partner_pb2.ListPartnersRequest, context: Any
    ) -> partner_pb2.ListPartnersResponse:
        """List partners, newest first."""
        call, size = current_call(), paging.page_size(request)
        before_id = paging.decode_id(request)
        filters = {"city_code": request.city_code, "reference": request.reference}
        if request.availability:
            filters["availability"] = AVAILABILITIES[request.availability]
        given = {name: value for name, value in filters.items() if value}
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(connection, before_id=before_id, rows_max=size + 1, filters=given)
        page = found[:size]
        token = paging.encode(request, str(page[-1].id)) if len(found) > size else ""
        return partner_pb2.ListPartnersResponse(partners=map(partner_to, page), next_page_token=token)

    async def SetAvailability(  # noqa: N802 - named by the proto
        self, request: partner_pb2.SetAvailabilityRequest, context: Any
    ) -> partner_pb2.SetAvailabilityResponse:
        """Open or close a partner to new work."""
        availability = AVAILABILITIES[request.availability]
        response = await self._change(
            request,
            UUID(request.partner_id),
            lambda partner: replace(partner, availability=availability),
            partner_pb2.SetAvailabilityResponse,
        )
        return partner_pb2.SetAvailabilityResponse.FromString(response)

    async def SetShiftSlots(  # noqa: N802 - named by the proto
        self, request: partner_pb2.SetShiftSlotsRequest, context: Any
    ) -> partner_pb2.SetShiftSlotsResponse:
        """Replace a partner's shift slots."""
        violations: list[Any] = []
        slots = slots_from(request.shift_slots, violations)
        violations = violations or rules.slot_violations(slots, datetime.now(UTC))
        if violations:
            raise InvalidArgumentError.of(*violations)
        response = await self._change(
            request,
            UUID(request.partner_id),
            lambda partner: replace(partner, shift_slots=rules.in_order(slots)),
            partner_pb2.SetShiftSlotsResponse,
        )
        return partner_pb2.SetShiftSlotsResponse.FromString(response)

    async def ReportPosition(  # noqa: N802 - named by the proto
        self, request: partner_pb2.ReportPositionRequest, context: Any
    ) -> partner_pb2.ReportPositionResponse:
        """Record where a partner is."""
        sighting = sighting_from(request.partner_id, request.position)
        await self._positions.one(current_call(), request.partner_id, sighting)
        return partner_pb2.ReportPositionResponse()

    async def ReportPositions(  # noqa: N802 - named by the proto
        self, requests: AsyncIterator[partner_pb2.ReportPositionsRequest], context: Any
    ) -> partner_pb2.ReportPositionsResponse:
        """Record where many partners are. One message is written while the next one is read."""
        call = current_call()
        accepted = 0
        refused: Counter[Refusal] = Counter()
        writing: Flush | None = None
        async for request in requests:
            flush, refused_now = await self._positions.many(call, sightings_from(request))
            accepted += len(request.positions) - refused_now.total()
            refused += refused_now
            if writing is not None:
                await writing.ended()
            writing = flush
        if writing is not None:
            await writing.ended()
        return partner_pb2.ReportPositionsResponse(
            accepted_count=accepted, refused_counts={reason.value: count for reason, count in refused.items()}
        )

    async def _new_partner(self, request: partner_pb2.OnboardPartnerRequest, now: datetime) -> Partner:
        profile = profile_from(request.profile)
        violations = rules.profile_violations(profile, await self._directory.get(profile.city_code))
        before = len(violations)
        slots = slots_from(request.shift_slots, violations)
        if len(violations) == before:
            violations += rules.slot_violations(slots, now)
        if violations:
            raise InvalidArgumentError.of(*violations)
        return Partner(
            id=new_id(),
            profile=profile,
            availability=availability_from(request.availability),
            shift_slots=rules.in_order(slots),
            load=Load(),
            version=1,
            created_at=now,
            updated_at=now,
        )

    async def _change(
        self,
        request: Message,
        partner_id: UUID,
        change: Callable[[Partner], Partner],
        response_type: Callable[..., Any],
    ) -> bytes:
        """Change a partner under its lock, publish what has changed, and return the answer."""
        call = current_call()
        _check_own(call, partner_id)

        async def effect(connection: asyncpg.Connection) -> bytes:
            partner = _found(await store.lock(connection, partner_id), partner_id)
            changed = change(partner)
            if changed != partner:
                changed = await store.save(connection, changed, datetime.now(UTC))
                await store.tell(connection, changed_events(changed, partner.profile.city_code, call.traceparent))
            return bytes(response_type(partner=partner_to(changed)).SerializeToString())

        return await self._database.run_command(call, request, effect)


async def _onboard_good(connection: asyncpg.Connection, outcomes: list[Partner | Exception], call: Call) -> None:
    """Store the partners of `outcomes` and replace those that were refused by their errors."""
    good = [(place, outcome) for place, outcome in enumerate(outcomes) if isinstance(outcome, Partner)]
    if not good:
        return
    errors = await store.onboard(connection, [partner for _, partner in good])
    events = []
    for (place, partner), error in zip(good, errors, strict=True):
        if error is None:
            events.append(changed_event(partner, call.traceparent))
        else:
            outcomes[place] = error
    await store.tell(connection, events)


def _result(outcome: Partner | Exception) -> partner_pb2.OnboardPartnerResult:
    if isinstance(outcome, Partner):
        return partner_pb2.OnboardPartnerResult(partner=partner_to(outcome))
    error = outcome if isinstance(outcome, ServiceError) else translate(outcome) or ServiceError("internal error")
    return partner_pb2.OnboardPartnerResult(error=row_error(error))


def _check_own(call: Call, partner_id: UUID) -> None:
    own = call.principal.partner_id
    if own is not None and UUID(own) != partner_id:
        raise PartnerNotFoundError(f"no partner that you may see has the id {partner_id}")


def _found(partner: Partner | None, partner_id: UUID) -> Partner:
    if partner is None:
        raise PartnerNotFoundError(f"no partner that you may see has the id {partner_id}")
    return partner
