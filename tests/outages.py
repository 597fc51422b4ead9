"""Events of an outage: whom a network lends, and what becomes of offers to its partners."""

from datetime import UTC, datetime

from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2
from lastmile.events.v1 import event_pb2

from libs.ids import new_id
from libs.streams.codec import Event, decode
from services.assignment.events import event_text, timestamp


def _event(message: event_pb2.Event, subject: str, merchant_id: str = "") -> Event:
    text = event_text(
        message, subject=subject, city_code="T1", sequence=1, at=datetime.now(UTC), merchant_id=merchant_id
    )
    return decode("test", "1-0", text.encode())


def lent(partner_id: str, network_code: str) -> Event:
    """A partner is of a network."""
    partner = partner_pb2.Partner(id=partner_id, version=1)
    partner.profile.network_code = network_code
    changed = event_pb2.PartnerChanged(partner=partner)
    return _event(event_pb2.Event(partner_changed=changed), f"partners/{partner_id}")


def moved(delivery_id: str, merchant_id: str, partner_id: str, to_state: str, reason: str = "") -> Event:
    """A delivery that was offered to a partner moves on."""
    change = delivery_pb2.DeliveryChange(
        to_state=delivery_pb2.DeliveryState.Value(f"DELIVERY_STATE_{to_state}"),
        reason=reason,
        partner_id=partner_id,
        recorded_at=timestamp(datetime.now(UTC)),
    )
    offer = assignment_pb2.Offer(id=str(new_id()), delivery_id=delivery_id, partner_id=partner_id)
    data = event_pb2.DeliveryStateChanged(delivery_id=delivery_id, change=change, offer=offer)
    return _event(event_pb2.Event(delivery_state_changed=data), f"deliveries/{delivery_id}", merchant_id)
