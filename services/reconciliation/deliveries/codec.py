"""What events say of deliveries and partners, as the ledger's facts."""

from collections.abc import Iterable
from uuid import UUID

from lastmile.assignment.v1 import delivery_pb2, partner_pb2
from lastmile.common.v1 import money_pb2, parcel_pb2
from lastmile.events.v1 import event_pb2

from libs.money.amount import INR, fits
from libs.money.errors import CurrencyMismatchError
from services.reconciliation.ledger.facts import Change, Order, PartnerVersion, distance_m
from services.reconciliation.timestamps import datetime_of

VEHICLES = {number: name.removeprefix("VEHICLE_").lower() for name, number in parcel_pb2.Vehicle.items() if number != 0}


def changes_in(events: Iterable[event_pb2.Event]) -> list[Change]:
    """Return the changes of deliveries that the events tell of."""
    return [
        _creation(event) if event.HasField("delivery_created") else _change(event)
        for event in events
        if event.HasField("delivery_created") or event.HasField("delivery_state_changed")
    ]


def versions_in(events: Iterable[event_pb2.Event]) -> list[PartnerVersion]:
    """Return the versions of partners that the events tell of."""
    return [_version(event) for event in events if event.HasField("partner_changed")]


def paise_of(money: money_pb2.Money) -> int:
    """Return an amount in paise; CurrencyMismatchError for another currency."""
    if money.currency_code != INR:
        raise CurrencyMismatchError(INR, money.currency_code)
    return fits(money.amount_minor)


def _creation(event: event_pb2.Event) -> Change:
    delivery = event.delivery_created.delivery
    details = delivery.details
    created_at = datetime_of(delivery.created_at)
    order = Order(
        merchant_id=UUID(details.merchant_id),
        city_code=details.city_code,
        distance_m=distance_m(
            details.pickup.latitude_deg,
            details.pickup.longitude_deg,
            details.drop.latitude_deg,
            details.drop.longitude_deg,
        ),
        weight_g=details.weight_g,
        cash_paise=paise_of(details.cash_on_delivery) if details.HasField("cash_on_delivery") else 0,
        ready_at=datetime_of(details.ready_at) if details.HasField("ready_at") else created_at,
        drop_until=datetime_of(details.drop_window.end),
    )
    return Change(UUID(delivery.id), event.sequence, UUID(event.id), "pending", created_at, None, order)


def _change(event: event_pb2.Event) -> Change:
    told = event.delivery_state_changed
    partner_id = told.change.partner_id or told.offer.partner_id
    state = delivery_pb2.DeliveryState.Name(told.change.to_state).removeprefix("DELIVERY_STATE_").lower()
    return Change(
        delivery_id=UUID(told.delivery_id),
        sequence=event.sequence,
        event_id=UUID(event.id),
        state=state,
        occurred_at=datetime_of(told.change.occurred_at),
        partner_id=UUID(partner_id) if partner_id else None,
    )


def _version(event: event_pb2.Event) -> PartnerVersion:
    partner = event.partner_changed.partner
    return PartnerVersion(
        partner_id=UUID(partner.id),
        version=partner.version,
        event_id=UUID(event.id),
        vehicle=VEHICLES[partner.profile.vehicle],
        network_code=partner.profile.network_code,
        changed_at=datetime_of(partner.updated_at),
        city_code=partner.profile.city_code,
        is_online=partner.availability == partner_pb2.AVAILABILITY_ONLINE,
        slots=tuple((datetime_of(slot.start), datetime_of(slot.end)) for slot in partner.shift_slots),
    )
