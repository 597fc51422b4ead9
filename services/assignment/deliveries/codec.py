"""Deliveries between protobuf and plain values."""

from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from lastmile.assignment.v1 import delivery_pb2
from lastmile.common.v1 import geo_pb2, money_pb2, parcel_pb2, time_pb2
from lastmile.events.v1 import event_pb2

from libs.grpc_server.errors import FieldViolation
from libs.privacy.addresses import AddressError, email_of, phone_of
from libs.privacy.sealed_mail import Sealer
from services.assignment.deliveries.delivery import Amount, Change, Delivery, Details, Point
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.events import event_text, timestamp
from services.assignment.timestamps import from_timestamp

VEHICLES = {value: name.removeprefix("VEHICLE_").lower() for name, value in parcel_pb2.Vehicle.items() if value}
VEHICLE_NUMBERS = {name: value for value, name in VEHICLES.items()}
_STATES = {state: delivery_pb2.DeliveryState.Value(f"DELIVERY_STATE_{state.name}") for state in DeliveryState}
STATES_BY_NUMBER = {number: state for state, number in _STATES.items()}
_ACTORS = {actor: delivery_pb2.Actor.Value(f"ACTOR_{actor.name}") for actor in Actor}


def details_from(
    proto: delivery_pb2.DeliveryDetails, merchant_id: UUID, now: datetime, violations: list[FieldViolation]
) -> Details | None:
    """Return the details, or None after adding what is wrong with their times to `violations`."""
    ready_at = from_timestamp(proto.ready_at, "details.ready_at", violations) if proto.HasField("ready_at") else now
    drop_from = from_timestamp(proto.drop_window.start, "details.drop_window.start", violations)
    drop_until = from_timestamp(proto.drop_window.end, "details.drop_window.end", violations)
    if ready_at is None or drop_from is None or drop_until is None:
        return None
    return Details(
        merchant_id=merchant_id,
        merchant_reference=proto.merchant_reference,
        city_code=proto.city_code,
        pickup=point_from(proto.pickup),
        drop=point_from(proto.drop),
        length_mm=proto.dimensions.length_mm,
        width_mm=proto.dimensions.width_mm,
        height_mm=proto.dimensions.height_mm,
        weight_g=proto.weight_g,
        ready_at=ready_at,
        drop_from=drop_from,
        drop_until=drop_until,
        declared_value=_amount_from(proto.declared_value) if proto.HasField("declared_value") else None,
        cash_on_delivery=_amount_from(proto.cash_on_delivery) if proto.HasField("cash_on_delivery") else None,
        vehicles=tuple(VEHICLES[number] for number in proto.vehicles),
    )


def delivery_to(delivery: Delivery) -> delivery_pb2.Delivery:
    """Return the delivery as its callers see it."""
    details = delivery.details
    proto = delivery_pb2.Delivery(
        id=str(delivery.id),
        state=_STATES[delivery.state],
        partner_id=str(delivery.partner_id or ""),
        unassigned_reason=delivery.unassigned_reason,
        version=delivery.version,
        attempts_failed=delivery.attempts_failed,
        created_at=timestamp(delivery.created_at),
        updated_at=timestamp(delivery.updated_at),
        details=delivery_pb2.DeliveryDetails(
            merchant_id=str(details.merchant_id),
            merchant_reference=details.merchant_reference,
            city_code=details.city_code,
            pickup=point_to(details.pickup),
            drop=point_to(details.drop),
            dimensions=parcel_pb2.Dimensions(
                length_mm=details.length_mm, width_mm=details.width_mm, height_mm=details.height_mm
            ),
            weight_g=details.weight_g,
            ready_at=timestamp(details.ready_at),
            drop_window=time_pb2.TimeWindow(start=timestamp(details.drop_from), end=timestamp(details.drop_until)),
            vehicles=[VEHICLE_NUMBERS[name] for name in details.vehicles],
        ),
    )
    for name, amount in (("declared_value", details.declared_value), ("cash_on_delivery", details.cash_on_delivery)):
        if amount is not None:
            money = money_pb2.Money(currency_code=amount.currency_code, amount_minor=amount.amount_minor)
            getattr(proto.details, name).CopyFrom(money)
    return proto


def change_to(change: Change) -> delivery_pb2.DeliveryChange:
    """Return one step of a delivery's history."""
    proto = delivery_pb2.DeliveryChange(
        sequence=change.sequence,
        from_state=_STATES[change.from_state] if change.from_state else delivery_pb2.DELIVERY_STATE_UNSPECIFIED,
        to_state=_STATES[change.to_state],
        actor=_ACTORS[change.actor],
        partner_id=str(change.partner_id or ""),
        occurred_at=timestamp(change.occurred_at),
        recorded_at=timestamp(change.recorded_at),
        reason=change.reason,
        note=change.note,
    )
    if change.location is not None:
        proto.location.CopyFrom(point_to(change.location))
    return proto


def customer_from(
    proto: delivery_pb2.CustomerContact, violations: list[FieldViolation]
) -> delivery_pb2.CustomerContact:
    """Return the contact with its addresses spelled as everywhere, after adding what is wrong to `violations`."""
    found = delivery_pb2.CustomerContact(name=proto.name, language=proto.language)
    for name, spelled in (("phone", phone_of), ("email", email_of)):
        given = str(getattr(proto, name))
        try:
            setattr(found, name, spelled(given) if given else "")
        except AddressError as error:
            violations.append(FieldViolation(f"customer.{name}", str(error), f"customer.{name}"))
    return found


def sealed_customer(contact: delivery_pb2.CustomerContact, sealer: Sealer, delivery_id: UUID) -> bytes:
    """Return a contact that the notification service alone can open, and only as that of this delivery."""
    return sealer.seal(contact.SerializeToString(), f"customer of {delivery_id}".encode())


def created_event(
    delivery: delivery_pb2.Delivery, match_after: datetime, at: datetime, traceparent: str, customer: bytes = b""
) -> str:
    """Return the event of a delivery's creation; `customer` is the sealed contact, if there is any."""
    event = event_pb2.Event()
    event.delivery_created.sealed_customer = customer
    event.delivery_created.delivery.CopyFrom(delivery)
    event.delivery_created.match_after.CopyFrom(timestamp(match_after))
    return event_text(
        event,
        subject=f"deliveries/{delivery.id}",
        city_code=delivery.details.city_code,
        sequence=delivery.version,
        at=at,
        merchant_id=delivery.details.merchant_id,
        traceparent=traceparent,
    )


def point_from(proto: geo_pb2.Location) -> Point:
    """Return a location as a point."""
    return Point(proto.latitude_deg, proto.longitude_deg)


def point_to(point: Point) -> geo_pb2.Location:
    """Return a point as a location."""
    return geo_pb2.Location(latitude_deg=point.lat, longitude_deg=point.lng)


def optional_time(proto: Timestamp, given: bool, field: str, violations: list[FieldViolation]) -> datetime | None:
    """Return a timestamp that may be absent; add to `violations` when it is no moment."""
    return from_timestamp(proto, field, violations) if given else None


def _amount_from(proto: money_pb2.Money) -> Amount:
    return Amount(proto.currency_code, proto.amount_minor)
