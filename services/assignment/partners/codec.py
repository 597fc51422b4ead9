"""Partners and their positions between protobuf and plain values."""

import re
from collections.abc import Iterable
from uuid import UUID

from lastmile.assignment.v1 import partner_pb2
from lastmile.common.v1 import money_pb2, time_pb2
from lastmile.events.v1 import event_pb2

from libs.grpc_server.errors import FieldViolation
from services.assignment.deliveries.codec import VEHICLE_NUMBERS, VEHICLES, point_from, point_to
from services.assignment.deliveries.delivery import RUPEES
from services.assignment.events import event_text, timestamp
from services.assignment.partners.partner import Capacity, Load, Partner, Profile, Slot
from services.assignment.partners.sightings import Sighting
from services.assignment.timestamps import datetime_of, from_timestamp

_AVAILABILITY_NUMBERS = {name.removeprefix("AVAILABILITY_").lower(): n for name, n in partner_pb2.Availability.items()}
AVAILABILITIES: dict[int, str] = {number: name for name, number in _AVAILABILITY_NUMBERS.items()}
_ACCEPTANCE_NUMBERS = {name.removeprefix("ACCEPTANCE_").lower(): n for name, n in partner_pb2.Acceptance.items()}
_ACCEPTANCES: dict[int, str] = {number: name for name, number in _ACCEPTANCE_NUMBERS.items()}
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def profile_from(proto: partner_pb2.PartnerProfile) -> Profile:
    """Return a profile, by offer where it does not say how it accepts."""
    capacity = proto.capacity
    return Profile(
        reference=proto.reference,
        display_name=proto.display_name,
        city_code=proto.city_code,
        vehicle=VEHICLES[proto.vehicle],
        capacity=Capacity(capacity.parcels_max, capacity.weight_g_max, capacity.volume_cm3_max, capacity.side_mm_max),
        home=point_from(proto.home),
        preferred_zones=tuple(proto.preferred_zones),
        acceptance=_ACCEPTANCES[proto.acceptance or partner_pb2.ACCEPTANCE_BY_OFFER],
        rating=proto.rating if proto.HasField("rating") else None,
        cash_limit_paise=proto.cash_limit.amount_minor if proto.HasField("cash_limit") else None,
        network_code=proto.network_code,
    )


def availability_from(number: int) -> str:
    """Return an availability; offline where it is unspecified."""
    return AVAILABILITIES[number or partner_pb2.AVAILABILITY_OFFLINE]


def slots_from(protos: Iterable[time_pb2.TimeWindow], violations: list[FieldViolation]) -> list[Slot]:
    """Return the shift slots that are moments in time, after adding the others to `violations`."""
    slots = []
    for place, proto in enumerate(protos):
        start = from_timestamp(proto.start, f"shift_slots[{place}].start", violations)
        end = from_timestamp(proto.end, f"shift_slots[{place}].end", violations)
        if start is not None and end is not None:
            slots.append(Slot(start, end))
    return slots


def partner_to(partner: Partner) -> partner_pb2.Partner:
    """Return the partner as its callers see it."""
    profile, capacity, load = partner.profile, partner.profile.capacity, partner.load
    return partner_pb2.Partner(
        id=str(partner.id),
        profile=partner_pb2.PartnerProfile(
            reference=profile.reference,
            display_name=profile.display_name,
            city_code=profile.city_code,
            vehicle=VEHICLE_NUMBERS[profile.vehicle],
            capacity=partner_pb2.Capacity(
                parcels_max=capacity.parcels_max,
                weight_g_max=capacity.weight_g_max,
                volume_cm3_max=capacity.volume_cm3_max,
                side_mm_max=capacity.side_mm_max,
            ),
            home=point_to(profile.home),
            preferred_zones=profile.preferred_zones,
            acceptance=_ACCEPTANCE_NUMBERS[profile.acceptance],
            rating=profile.rating,
            cash_limit=None
            if profile.cash_limit_paise is None
            else money_pb2.Money(currency_code=RUPEES, amount_minor=profile.cash_limit_paise),
            network_code=profile.network_code,
        ),
        availability=_AVAILABILITY_NUMBERS[partner.availability],
        shift_slots=[
            time_pb2.TimeWindow(start=timestamp(slot.start), end=timestamp(slot.end)) for slot in partner.shift_slots
        ],
        load=partner_pb2.Load(parcels=load.parcels, weight_g=load.weight_g, volume_cm3=load.volume_cm3),
        version=partner.version,
        created_at=timestamp(partner.created_at),
        updated_at=timestamp(partner.updated_at),
    )


def partner_from(proto: partner_pb2.Partner) -> Partner:
    """Return the partner that an event tells of."""
    return Partner(
        id=UUID(proto.id),
        profile=profile_from(proto.profile),
        availability=availability_from(proto.availability),
        shift_slots=tuple(Slot(datetime_of(slot.start), datetime_of(slot.end)) for slot in proto.shift_slots),
        load=Load(proto.load.parcels, proto.load.weight_g, proto.load.volume_cm3),
        version=proto.version,
        created_at=datetime_of(proto.created_at),
        updated_at=datetime_of(proto.updated_at),
    )


def changed_events(partner: Partner, city_before: str, traceparent: str) -> list[str]:
    """Return the event of a partner's change for its city's stream, and for that of another city it was in before."""
    events = [changed_event(partner, traceparent)]
    if city_before != partner.profile.city_code:
        events.append(changed_event(partner, traceparent, city_before))
    return events


def changed_event(partner: Partner, traceparent: str, city_code: str = "") -> str:
    """Return the event of a partner's onboarding or change, for its own city's stream unless another one is named."""
    return event_text(
        event_pb2.Event(partner_changed=event_pb2.PartnerChanged(partner=partner_to(partner))),
        subject=f"partners/{partner.id}",
        city_code=city_code or partner.profile.city_code,
        sequence=partner.version,
        at=partner.updated_at,
        traceparent=traceparent,
    )


def sighting_from(partner_id: str, proto: partner_pb2.Position) -> Sighting | None:
    """Return where a partner was seen, or None when the position breaks its proto's rules.

    Checked here and not by the general validator, which costs more than all the rest of a position's way.
    """
    if not (proto.HasField("location") and proto.HasField("recorded_at") and _UUID.fullmatch(partner_id)):
        return None
    lat, lng, recorded_at = proto.location.latitude_deg, proto.location.longitude_deg, proto.recorded_at
    # Comparisons with NaN are false.
    if not (-90 <= lat <= 90 and -180 <= lng <= 180 and 0 <= recorded_at.nanos < 1_000_000_000):
        return None
    return partner_id.lower(), lat, lng, recorded_at.seconds * 1000 + recorded_at.nanos // 1_000_000


def sightings_from(request: partner_pb2.ReportPositionsRequest) -> list[Sighting | None]:
    """Return the message's positions, None for each that breaks its rules."""
    return [sighting_from(row.partner_id, row.position) for row in request.positions]
