"""Events between protobuf and what the planner takes from them."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from uuid import UUID

from lastmile.assignment.v1 import delivery_pb2
from lastmile.events.v1 import event_pb2

from libs.privacy.sealed_mail import Opener
from libs.privacy.vault import TamperedError
from services.notification import metrics
from services.notification.planning.learnt import Happening, Learnt, NewCustomer, NewDelivery
from services.notification.planning.rules import CORRECTED, EMAIL, SMS, TAKEN_BACK, Fact
from services.notification.timestamps import datetime_of

log = logging.getLogger("notification")


def learnt_from(events: Iterable[event_pb2.Event], opener: Opener) -> Learnt:
    """Return what the events tell, in their order."""
    learnt = Learnt()
    for event in events:
        kind = event.WhichOneof("data")
        if kind == "merchant_created":
            merchant = event.merchant_created.merchant
            learnt.merchants[UUID(merchant.id)] = merchant.name
        elif kind == "city_changed":
            city = event.city_changed.city
            learnt.cities[city.code] = (city.name, city.time_zone)
        elif kind == "delivery_created":
            made = _delivery(event.delivery_created, opener)
            learnt.deliveries[made.id] = made
            learnt.happenings.append(Happening(Fact(made.id, "created", datetime_of(event.time), {}), None))
        elif kind == "delivery_state_changed":
            learnt.happenings += _happenings(event.delivery_state_changed)
    return learnt


def _delivery(created: event_pb2.DeliveryCreated, opener: Opener) -> NewDelivery:
    proto = created.delivery
    return NewDelivery(
        id=UUID(proto.id),
        merchant_id=UUID(proto.details.merchant_id),
        city_code=proto.details.city_code,
        reference=proto.details.merchant_reference,
        drop_from=datetime_of(proto.details.drop_window.start),
        drop_until=datetime_of(proto.details.drop_window.end),
        customer=_customer(created.sealed_customer, proto.id, opener) if created.sealed_customer else None,
    )


def _customer(sealed: bytes, delivery_id: str, opener: Opener) -> NewCustomer | None:
    try:
        opened = opener.open(sealed, f"customer of {delivery_id}".encode())
    except TamperedError:
        # Sealed for another key: the delivery goes on, and its customer is not told.
        metrics.CONTACTS_CLOSED.inc()
        log.exception("a customer's contact does not open", extra={"delivery_id": delivery_id})
        return None
    contact = delivery_pb2.CustomerContact.FromString(opened)
    addresses = {SMS: contact.phone, EMAIL: contact.email}
    found = {channel: address for channel, address in addresses.items() if address}
    return NewCustomer(contact.name, contact.language, found) if found else None


def _happenings(changed: event_pb2.DeliveryStateChanged) -> Iterator[Happening]:
    change = changed.change
    status = delivery_pb2.DeliveryState.Name(change.to_state).removeprefix("DELIVERY_STATE_").lower()
    fact = Fact(UUID(changed.delivery_id), status, datetime_of(change.occurred_at), {"reason": change.reason})
    partner_id = UUID(change.partner_id) if change.partner_id else None
    if change.from_state == change.to_state:
        # Each one counts: the last says what holds.
        recorded_at = datetime_of(change.recorded_at)
        yield Happening(replace(fact, status=CORRECTED, recorded_at=recorded_at, occasion=change.sequence), None)
    elif change.from_state == delivery_pb2.DELIVERY_STATE_DELIVERED:
        # Whoever says that it handed it over is told something else than who was about to pick it up.
        yield Happening(fact, None)
        yield Happening(replace(fact, status=TAKEN_BACK), partner_id)
    else:
        yield Happening(fact, partner_id)
