"""Offers between protobuf and plain values, and the event of a delivery's move."""

from lastmile.assignment.v1 import assignment_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.deliveries.codec import change_to
from services.assignment.deliveries.lifecycle import DeliveryState, OfferState
from services.assignment.events import event_text, timestamp
from services.assignment.offers.offer import Moved, Offer

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
