"""Events between protobuf and what outages are counted from."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from lastmile.assignment.v1 import delivery_pb2
from lastmile.events.v1 import event_pb2

from services.notification.alerts.learning.facts import Facts, Match, NetworkPartner, Withdrawal, facts_of
from services.notification.timestamps import datetime_of

# Why the dispatcher takes offers back from a network that is down.
NETWORK_DOWN = "NETWORK_DOWN"
_MATCHED = (delivery_pb2.DELIVERY_STATE_OFFERED, delivery_pb2.DELIVERY_STATE_ASSIGNED)


def learnt_from(events: Iterable[event_pb2.Event]) -> Facts:
    """Return what the events tell."""
    return facts_of(fact for event in events for fact in _told(event))


def _told(event: event_pb2.Event) -> Iterator[NetworkPartner | Withdrawal | Match]:
    if event.HasField("partner_changed"):
        partner = event.partner_changed.partner
        yield NetworkPartner(UUID(partner.id), partner.profile.network_code, partner.version)
    elif event.HasField("delivery_state_changed"):
        moved = event.delivery_state_changed
        at = datetime_of(moved.change.recorded_at)
        is_back = moved.change.to_state == delivery_pb2.DELIVERY_STATE_PENDING
        if is_back and moved.change.reason == NETWORK_DOWN and moved.HasField("offer") and event.merchant_id:
            partner_id, merchant_id = UUID(moved.offer.partner_id), UUID(event.merchant_id)
            yield Withdrawal(UUID(moved.offer.id), UUID(moved.delivery_id), partner_id, merchant_id, at)
        elif moved.change.to_state in _MATCHED:
            yield Match(UUID(moved.delivery_id), at)
