"""Events as what they tell a picture."""

from uuid import UUID

from lastmile.events.v1 import event_pb2

from libs.grpc_server.errors import FieldViolation
from libs.streams.codec import UndecodableEventError
from services.assignment.deliveries.codec import STATES_BY_NUMBER, details_from
from services.assignment.deliveries.delivery import Delivery
from services.assignment.deliveries.lifecycle import TERMINAL
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.networks.network import PartnerNetwork
from services.assignment.offers.codec import OFFER_STATES_BY_NUMBER
from services.assignment.partners.codec import partner_from
from services.assignment.partners.partner import Partner
from services.assignment.picture.facts import ConcernedOffer, LiveDelivery, StateChange, Unclear, live_from
from services.assignment.timestamps import datetime_of

News = Partner | LiveDelivery | StateChange | Unclear | MerchantPartners | PartnerNetwork


def news_of(message: event_pb2.Event) -> News | None:
    """Return what an event tells, None where pictures hold nothing of the kind; UndecodableEventError for nonsense.

    A creation is told as the new delivery.
    """
    read = _READERS.get(str(message.WhichOneof("data")))
    try:
        return read(message) if read is not None else None
    except (ValueError, KeyError, OverflowError) as error:
        raise UndecodableEventError(f"{type(error).__name__}: {error}") from error


def _partner(message: event_pb2.Event) -> Partner:
    return partner_from(message.partner_changed.partner)


def _creation(message: event_pb2.Event) -> LiveDelivery | Unclear:
    proto, created = message.delivery_created.delivery, message.delivery_created
    if not created.HasField("match_after"):
        return Unclear(UUID(proto.id), proto.version)
    violations: list[FieldViolation] = []
    created_at = datetime_of(proto.created_at)
    details = details_from(proto.details, UUID(proto.details.merchant_id), created_at, violations)
    if details is None:
        raise ValueError(f"{violations[0].field} {violations[0].description}")
    delivery = Delivery(
        id=UUID(proto.id),
        details=details,
        state=STATES_BY_NUMBER[proto.state],
        partner_id=None,
        unassigned_reason=proto.unassigned_reason,
        match_after=datetime_of(created.match_after),
        version=proto.version,
        attempts_failed=proto.attempts_failed,
        state_at=created_at,
        created_at=created_at,
        updated_at=datetime_of(proto.updated_at),
    )
    return live_from(delivery)


def _change(message: event_pb2.Event) -> StateChange:
    data = message.delivery_state_changed
    offer = data.offer
    concerned = None
    if data.HasField("offer"):
        expires_at = datetime_of(offer.expires_at) if offer.HasField("expires_at") else None
        concerned = ConcernedOffer(
            UUID(offer.id), UUID(offer.partner_id), OFFER_STATES_BY_NUMBER[offer.state], expires_at
        )
    ranked = data.HasField("pickup_rank") and data.HasField("drop_rank")
    return StateChange(
        id=UUID(data.delivery_id),
        version=message.sequence,
        to_state=STATES_BY_NUMBER[data.change.to_state],
        recorded_at=datetime_of(data.change.recorded_at),
        match_after=datetime_of(data.match_after) if data.HasField("match_after") else None,
        offer=concerned,
        ranks=(data.pickup_rank, data.drop_rank) if ranked else None,
        is_correction=STATES_BY_NUMBER.get(data.change.from_state) in TERMINAL,
    )


def _lists(message: event_pb2.Event) -> MerchantPartners:
    proto = message.merchant_partners_changed.partners
    allowed, denied = (tuple(map(UUID, ids)) for ids in (proto.allowed_partner_ids, proto.denied_partner_ids))
    return MerchantPartners(UUID(proto.merchant_id), allowed, denied, proto.version, datetime_of(proto.updated_at))


def _network(message: event_pb2.Event) -> PartnerNetwork:
    proto = message.partner_network_changed.network
    return PartnerNetwork(proto.code, proto.health, proto.note, proto.version, datetime_of(proto.updated_at))


_READERS = {
    "partner_changed": _partner,
    "delivery_created": _creation,
    "delivery_state_changed": _change,
    "merchant_partners_changed": _lists,
    "partner_network_changed": _network,
}
