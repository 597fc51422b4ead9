"""DeliveryService: translates between the calls and the noun's rules, writer and store."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from lastmile.assignment.v1 import delivery_pb2, delivery_pb2_grpc, partner_pb2

from libs.grpc_server import paging
from libs.grpc_server.call import Call, current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError, ServiceError
from libs.grpc_server.identity import Principal
from libs.grpc_server.validation import violations_of
from libs.ids import new_id
from libs.postgres.errors import translate
from libs.privacy.sealed_mail import Sealer
from services.assignment.cities.directory import CityDirectory
from services.assignment.database import Database
from services.assignment.deliveries import rules, store
from services.assignment.deliveries.codec import (
    STATES_BY_NUMBER,
    change_to,
    created_event,
    customer_from,
    delivery_to,
    details_from,
    optional_time,
    sealed_customer,
)
from services.assignment.deliveries.delivery import Delivery, Details
from services.assignment.deliveries.lifecycle import DeliveryState
from services.assignment.deliveries.store import NewDelivery
from services.assignment.deliveries.writer import Creation, DeliveryWriter, StateMove, finish
from services.assignment.errors import DeliveryNotFoundError
from services.assignment.idempotency.command import command_of
from services.assignment.offers.codec import ACTORS, cancellation, correction, status
from services.assignment.offers.offer import Move, Moved
from services.assignment.row_errors import row_error
from services.assignment.visibility import visibility_of

Answer = TypeVar(
    "Answer",
    delivery_pb2.CancelDeliveryResponse,
    delivery_pb2.RecordDeliveryStatusResponse,
    delivery_pb2.CorrectProofResponse,
)

# A batch gives the event loop back this often, so that other calls do not wait for all of its rows.
_ROWS_AT_ONCE = 50


class DeliveryServicer(delivery_pb2_grpc.DeliveryServiceServicer):
    """Answers DeliveryService."""

    def __init__(self, database: Database, directory: CityDirectory, writer: DeliveryWriter, sealer: Sealer) -> None:
        self._sealer = sealer
        self._database = database
        self._directory = directory
        self._writer = writer

    async def CreateDelivery(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.CreateDeliveryRequest, context: Any
    ) -> delivery_pb2.CreateDeliveryResponse:
        """Take one delivery in."""
        call = current_call()
        row, proto = await self._prepare(request, call, datetime.now(UTC))
        response = delivery_pb2.CreateDeliveryResponse(delivery=proto).SerializeToString()
        written = await self._writer.create(call.principal, Creation(row, response, command_of(call, request)))
        return delivery_pb2.CreateDeliveryResponse.FromString(finish(call, written))

    async def BatchCreateDeliveries(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.BatchCreateDeliveriesRequest, context: Any
    ) -> delivery_pb2.BatchCreateDeliveriesResponse:
        """Take up to 1,000 deliveries in, each with its own outcome."""
        call, now = current_call(), datetime.now(UTC)
        outcomes: list[tuple[NewDelivery, delivery_pb2.Delivery] | ServiceError] = []
        for place, row in enumerate(request.requests):
            if place % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
            violations = violations_of(row)
            try:
                if violations:
                    raise InvalidArgumentError.of(*violations)
                outcomes.append(await self._prepare(row, call, now))
            except ServiceError as error:
                outcomes.append(error)
        good = [outcome for outcome in outcomes if isinstance(outcome, tuple)]

        def respond(stored: Sequence[Exception | None]) -> bytes:
            errors = iter(stored)
            results = [_result(outcome, errors) for outcome in outcomes]
            return delivery_pb2.BatchCreateDeliveriesResponse(results=results).SerializeToString()

        written = await self._writer.create_many(
            visibility_of(call.principal), [row for row, _ in good], command_of(call, request), respond
        )
        return delivery_pb2.BatchCreateDeliveriesResponse.FromString(finish(call, written))

    async def GetDelivery(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.GetDeliveryRequest, context: Any
    ) -> delivery_pb2.GetDeliveryResponse:
        """Return one delivery."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            delivery = await store.get(connection, UUID(request.delivery_id))
        return delivery_pb2.GetDeliveryResponse(delivery=delivery_to(_seen(delivery, call, request.delivery_id)))

    async def ListDeliveries(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.ListDeliveriesRequest, context: Any
    ) -> delivery_pb2.ListDeliveriesResponse:
        """List deliveries that the caller may see, newest first."""
        call = current_call()
        violations: list[FieldViolation] = []
        created_from = optional_time(request.created_from, request.HasField("created_from"), "created_from", violations)
        created_until = optional_time(
            request.created_until, request.HasField("created_until"), "created_until", violations
        )
        filters = _filters(request, call.principal, violations)
        if violations:
            raise InvalidArgumentError.of(*violations)
        size = paging.page_size(request)
        async with self._database.query(call.principal, call.consistency_token) as connection:
            found = await store.search(
                connection,
                created_from=created_from,
                created_until=created_until,
                before_id=paging.decode_id(request),
                rows_max=size + 1,
                filters=filters,
            )
        page = found[:size]
        token = paging.encode(request, str(page[-1].id)) if len(found) > size else ""
        return delivery_pb2.ListDeliveriesResponse(deliveries=map(delivery_to, page), next_page_token=token)

    async def GetDeliveryHistory(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.GetDeliveryHistoryRequest, context: Any
    ) -> delivery_pb2.GetDeliveryHistoryResponse:
        """Return everything that has happened to a delivery."""
        call = current_call()
        async with self._database.query(call.principal, call.consistency_token) as connection:
            delivery = await store.get(connection, UUID(request.delivery_id))
            _seen(delivery, call, request.delivery_id)
            changes = await store.history(connection, UUID(request.delivery_id))
        return delivery_pb2.GetDeliveryHistoryResponse(changes=map(change_to, changes))

    async def CancelDelivery(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.CancelDeliveryRequest, context: Any
    ) -> delivery_pb2.CancelDeliveryResponse:
        """Call a delivery off."""
        call = current_call()
        return await self._make(cancellation(request, call), call, request, delivery_pb2.CancelDeliveryResponse)

    async def RecordDeliveryStatus(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.RecordDeliveryStatusRequest, context: Any
    ) -> delivery_pb2.RecordDeliveryStatusResponse:
        """Record that a delivery has moved on."""
        call = current_call()
        return await self._make(status(request, call), call, request, delivery_pb2.RecordDeliveryStatusResponse)

    async def CorrectProof(  # noqa: N802 - named by the proto
        self, request: delivery_pb2.CorrectProofRequest, context: Any
    ) -> delivery_pb2.CorrectProofResponse:
        """Put right when and where a delivery was handed over."""
        call = current_call()
        return await self._make(correction(request, call), call, request, delivery_pb2.CorrectProofResponse)

    async def _make(self, move: Move, call: Call, request: Message, answer: type[Answer]) -> Answer:
        def respond(moved: Moved) -> bytes:
            return answer(delivery=delivery_to(moved.delivery)).SerializeToString()

        written = await self._writer.move(
            call.principal, StateMove(move, respond, command_of(call, request), call.principal.merchant_id)
        )
        return answer.FromString(finish(call, written))

    async def _prepare(
        self, request: delivery_pb2.CreateDeliveryRequest, call: Call, now: datetime
    ) -> tuple[NewDelivery, delivery_pb2.Delivery]:
        violations: list[FieldViolation] = []
        merchant_id = _merchant_of(request.details, call.principal, violations)
        details = details_from(request.details, merchant_id, now, violations)
        contact = customer_from(request.customer, violations) if request.HasField("customer") else None
        if details is not None:
            city = await self._directory.get(details.city_code)
            violations += rules.violations_of(details, city, now)
        if violations or details is None or city is None:
            raise InvalidArgumentError.of(*violations)
        delivery = _new_delivery(details, timedelta(seconds=city.policy.dispatch_horizon_s), now)
        proto = delivery_to(delivery)
        customer = sealed_customer(contact, self._sealer, delivery.id) if contact else b""
        event = created_event(proto, delivery.match_after, now, call.traceparent, customer)
        return NewDelivery(delivery, ACTORS[call.principal.role], event), proto


def _new_delivery(details: Details, horizon: timedelta, now: datetime) -> Delivery:
    match_after = max(now, details.ready_at - horizon)
    return Delivery(
        id=new_id(),
        details=details,
        state=DeliveryState.PENDING,
        partner_id=None,
        unassigned_reason="SCHEDULED" if match_after > now else "",
        match_after=match_after,
        version=1,
        attempts_failed=0,
        state_at=now,
        created_at=now,
        updated_at=now,
    )


def _merchant_of(details: delivery_pb2.DeliveryDetails, principal: Principal, violations: list[FieldViolation]) -> UUID:
    own = principal.merchant_id
    if own is not None and details.merchant_id.lower() not in ("", own.lower()):
        said = "is not you; leave it empty"
        violations.append(FieldViolation("details.merchant_id", said, "merchant.own"))
    if own is None and not details.merchant_id:
        violations.append(FieldViolation("details.merchant_id", "is required from ops", "merchant.required"))
        return UUID(int=0)
    return UUID(own or details.merchant_id)


def _seen(delivery: Delivery | None, call: Call, delivery_id: str) -> Delivery:
    """Return the delivery if the caller may see it; the database has hidden other merchants' already."""
    partner_id = call.principal.partner_id
    if delivery is None or (partner_id is not None and str(delivery.partner_id) != partner_id):
        raise DeliveryNotFoundError(f"no delivery that you may see has the id {delivery_id}")
    return delivery


def _filters(
    request: delivery_pb2.ListDeliveriesRequest, principal: Principal, violations: list[FieldViolation]
) -> dict[str, object]:
    filters: dict[str, object] = {}
    if merchant_id := principal.merchant_id or request.merchant_id:
        filters["merchant_id"] = UUID(merchant_id)
    if request.city_code:
        filters["city_code"] = request.city_code
    if partner_id := principal.partner_id or request.partner_id:
        filters["partner_id"] = UUID(partner_id)
    if request.states:
        filters["states"] = [STATES_BY_NUMBER[number].value for number in request.states]
    if request.merchant_reference:
        filters["merchant_reference"] = request.merchant_reference
        if "merchant_id" not in filters:
            said = "is required with merchant_reference"
            violations.append(FieldViolation("merchant_id", said, "merchant_reference.merchant"))
    for name, own in (("merchant_id", principal.merchant_id), ("partner_id", principal.partner_id)):
        given = str(getattr(request, name))
        if own is not None and given not in ("", own):
            violations.append(FieldViolation(name, "is not you; leave it empty", f"{name}.own"))
    return filters


def _result(
    outcome: tuple[NewDelivery, delivery_pb2.Delivery] | ServiceError, stored: Any
) -> delivery_pb2.CreateDeliveryResult:
    error = outcome if isinstance(outcome, ServiceError) else next(stored)
    if error is None and isinstance(outcome, tuple):
        return delivery_pb2.CreateDeliveryResult(delivery=outcome[1])
    return delivery_pb2.CreateDeliveryResult(error=_row_error(error))


def _row_error(error: Exception) -> partner_pb2.RowError:
    if isinstance(error, ServiceError):
        return row_error(error)
    return row_error(translate(error) or ServiceError("internal error"))
