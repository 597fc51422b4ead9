"""A delivery's events as the assignment service publishes them, for the ledger's consumer."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2
from lastmile.common.v1 import geo_pb2, money_pb2, parcel_pb2, time_pb2
from lastmile.events.v1 import event_pb2

from libs.ids import new_id, new_id_text
from libs.streams.codec import Event
from services.assignment.events import TYPES
from services.reconciliation.ledger.facts import Change, Order, PartnerVersion
from services.reconciliation.timestamps import timestamp
from tests.ledger import EVENING, STORY, changes_of, version_of

PICKUP = geo_pb2.Location(latitude_deg=12.9716, longitude_deg=77.5946)
DROP = geo_pb2.Location(latitude_deg=12.9352, longitude_deg=77.6245)
DISTANCE_M = 5_185


class Told:
    """One delivery with a merchant and a partner of its own, and the events that tell of it."""

    def __init__(
        self,
        city_code: str,
        states: tuple[str, ...] = STORY,
        partner_id: UUID | None = None,
        merchant_id: UUID | None = None,
        cash_paise: int = 49_900,
    ) -> None:
        self.delivery_id, self.merchant_id = new_id(), merchant_id or new_id()
        self.partner_id = partner_id or new_id()
        self.city_code = city_code
        order = Order(self.merchant_id, city_code, DISTANCE_M, 1_250, cash_paise, EVENING - timedelta(minutes=40),
                      EVENING + timedelta(minutes=10))  # fmt: skip
        self.changes = changes_of(states, self.delivery_id, self.partner_id, order)
        self.events = [self.event_of(change) for change in self.changes]
        self.partner_event = partner_event(version_of(self.partner_id, city_code=city_code))

    def event_of(self, change: Change) -> Event:
        event = event_pb2.Event(id=new_id_text(), sequence=change.sequence, subject=f"deliveries/{self.delivery_id}")
        if change.order is not None:
            event.delivery_created.delivery.CopyFrom(self._created(change.order, change.occurred_at))
        else:
            event.delivery_state_changed.delivery_id = str(self.delivery_id)
            event.delivery_state_changed.change.CopyFrom(
                delivery_pb2.DeliveryChange(
                    sequence=change.sequence,
                    to_state=delivery_pb2.DeliveryState.Value(f"DELIVERY_STATE_{change.state.upper()}"),
                    occurred_at=timestamp(change.occurred_at),
                )
            )
            if change.partner_id is not None:
                offer = assignment_pb2.Offer(partner_id=str(change.partner_id))
                event.delivery_state_changed.offer.CopyFrom(offer)
        return wrapped(event)

    def _created(self, order: Order, at: datetime) -> delivery_pb2.Delivery:
        details = delivery_pb2.DeliveryDetails(
            merchant_id=str(self.merchant_id),
            city_code=self.city_code,
            pickup=PICKUP,
            drop=DROP,
            weight_g=order.weight_g,
            ready_at=timestamp(order.ready_at),
            cash_on_delivery=money_pb2.Money(currency_code="INR", amount_minor=order.cash_paise),
        )
        details.drop_window.start.CopyFrom(timestamp(at))
        details.drop_window.end.CopyFrom(timestamp(order.drop_until))
        return delivery_pb2.Delivery(id=str(self.delivery_id), details=details, created_at=timestamp(at))


def partner_event(version: PartnerVersion) -> Event:
    """The event of a partner's version."""
    profile = partner_pb2.PartnerProfile(
        vehicle=parcel_pb2.Vehicle.Value(f"VEHICLE_{version.vehicle.upper()}"),
        network_code=version.network_code,
        city_code=version.city_code,
    )
    online = partner_pb2.AVAILABILITY_ONLINE if version.is_online else partner_pb2.AVAILABILITY_OFFLINE
    partner = partner_pb2.Partner(
        id=str(version.partner_id),
        profile=profile,
        version=version.version,
        updated_at=timestamp(version.changed_at),
        availability=online,
        shift_slots=[time_pb2.TimeWindow(start=timestamp(start), end=timestamp(end)) for start, end in version.slots],
    )
    event = event_pb2.Event(id=new_id_text(), sequence=version.version, subject=f"partners/{version.partner_id}")
    event.partner_changed.partner.CopyFrom(partner)
    return wrapped(event)


def content_of(event: Event) -> bytes:
    """The event's envelope, as it is in its stream."""
    message = event.message
    data = base64.b64encode(message.SerializeToString()).decode()
    return json.dumps(
        {"id": message.id, "type": message.type, "subject": message.subject, "data_base64": data}
    ).encode()


def wrapped(message: event_pb2.Event) -> Event:
    """The event as a handler gets it."""
    message.type = TYPES[str(message.WhichOneof("data"))]
    message.time.CopyFrom(timestamp(datetime.now(UTC)))
    return Event("lastmile:events:{TEST}:1", "1-0", b"", message)
