"""Offers and moves between protobuf and plain values, and the event of a move that was made."""

from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2
from lastmile.events.v1 import event_pb2

from libs.grpc_server.call import Call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.grpc_server.identity import Role
from services.assignment.deliveries.codec import STATES_BY_NUMBER, change_to, optional_time, point_from
from services.assignment.deliveries.lifecycle import Actor, DeliveryState, OfferState
from services.assignment.events import event_text, timestamp
from services.assignment.offers.offer import Move, Moved, Offer

ACTORS = {Role.MERCHANT: Actor.MERCHANT, Role.OPS: Actor.OPS, Role.PARTNER: Actor.PARTNER}

_STATES = {state: assignment_pb2.OfferState.Value(f"OFFER_STATE_{state.name}") for state in OfferState}
OFFER_STATES_BY_NUMBER = {number: state for state, number in _STATES.items()}


def offer_to(offer: Offer) -> assignment_pb2.Offer:
    """Return the offer as its callers see it."""
    proto = assignment_pb2.Offer(
        id=str(offer.id),
        delivery_id=str(offer.delivery_id),
        partner_id=str(offer.partner_id),
        window_id=str(offer.window_id),
        city_code=offer.city_code,
        state=_STATES[offer.state],
        cost_s=offer.cost_s,
        offered_at=timestamp(offer.offered_at),
    )
    if offer.expires_at is not None:
        proto.expires_at.CopyFrom(timestamp(offer.expires_at))
    if offer.answered_at is not None:
        proto.answered_at.CopyFrom(timestamp(offer.answered_at))
    return proto


def moved_event(moved: Moved, traceparent: str) -> str:
    """Return the event of a delivery's move."""
    data = event_pb2.DeliveryStateChanged(
        delivery_id=str(moved.delivery.id),
        change=change_to(moved.change),
        offer=offer_to(moved.offer) if moved.offer else None,
    )
    if moved.ranks is not None:
        data.pickup_rank, data.drop_rank = moved.ranks
    if moved.delivery.state is DeliveryState.PENDING:
        data.match_after.CopyFrom(timestamp(moved.delivery.match_after))
    return event_text(
        event_pb2.Event(delivery_state_changed=data),
        subject=f"deliveries/{moved.delivery.id}",
        city_code=moved.delivery.details.city_code,
        sequence=moved.delivery.version,
        at=moved.change.recorded_at,
        merchant_id=str(moved.delivery.details.merchant_id),
        traceparent=traceparent,
    )


def cancellation(request: delivery_pb2.CancelDeliveryRequest, call: Call) -> Move:
    """Return the move that calls a delivery off."""
    return Move(
        delivery_id=UUID(request.delivery_id),
        to_state=DeliveryState.CANCELLED,
        actor=ACTORS[call.principal.role],
        reason=request.reason,
        note=request.note,
        traceparent=call.traceparent,
    )


def status(request: delivery_pb2.RecordDeliveryStatusRequest, call: Call) -> Move:
    """Return the move that a delivery has made. Raises InvalidArgumentError for a time that is none."""
    partner_id = call.principal.partner_id
    return Move(
        delivery_id=UUID(request.delivery_id),
        to_state=STATES_BY_NUMBER[request.state],
        actor=ACTORS[call.principal.role],
        occurred_at=_moment(request.occurred_at, request.HasField("occurred_at"), "occurred_at"),
        only_partner_id=UUID(partner_id) if partner_id else None,
        location=point_from(request.location) if request.HasField("location") else None,
        reason=request.reason,
        note=request.note,
        traceparent=call.traceparent,
    )


def correction(request: delivery_pb2.CorrectProofRequest, call: Call) -> Move:
    """Return the move that puts a hand-over right. Raises InvalidArgumentError for a time that is none."""
    return Move(
        delivery_id=UUID(request.delivery_id),
        to_state=DeliveryState.DELIVERED,
        actor=ACTORS[call.principal.role],
        occurred_at=_moment(request.delivered_at, request.HasField("delivered_at"), "delivered_at"),
        location=point_from(request.location) if request.HasField("location") else None,
        reason=request.reason,
        note=request.note,
        corrects=True,
        traceparent=call.traceparent,
    )


def _moment(proto: Timestamp, given: bool, field: str) -> datetime | None:
    violations: list[FieldViolation] = []
    found = optional_time(proto, given, field, violations)
    if violations:
        raise InvalidArgumentError.of(*violations)
    return found
