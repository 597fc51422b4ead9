"""Partners between protobuf and plain values."""

from collections.abc import Iterable
from datetime import datetime

from lastmile.assignment.v1 import partner_pb2
from lastmile.common.v1 import geo_pb2, time_pb2
from lastmile.events.v1 import event_pb2

from libs.grpc_server.errors import FieldViolation
from services.assignment.deliveries.codec import VEHICLE_NUMBERS, VEHICLES
from services.assignment.events import event_text, timestamp
from services.assignment.partners.partner import Partner, Profile, Slot
from services.assignment.timestamps import from_timestamp

AVAILABILITIES = {
    partner_pb2.AVAILABILITY_UNSPECIFIED: "offline",
    partner_pb2.AVAILABILITY_ONLINE: "online",
    partner_pb2.AVAILABILITY_OFFLINE: "offline",
}
_AVAILABILITY_NUMBERS = {name: number for number, name in AVAILABILITIES.items()}
_ACCEPTANCES = {
    partner_pb2.ACCEPTANCE_UNSPECIFIED: "by_offer",
    partner_pb2.ACCEPTANCE_BY_OFFER: "by_offer",
    partner_pb2.ACCEPTANCE_AUTOMATIC: "automatic",
}
_ACCEPTANCE_NUMBERS = {name: number for number, name in _ACCEPTANCES.items()}


def profile_from(proto: partner_pb2.PartnerProfile) -> Profile:
    """Return a profile."""
    return Profile(
        reference=proto.reference,
        display_name=proto.display_name,
        city_code=proto.city_code,
        vehicle=VEHICLES[proto.vehicle],
        parcels_max=proto.capacity.parcels_max,
        weight_g_max=proto.capacity.weight_g_max,
        volume_cm3_max=proto.capacity.volume_cm3_max,
        side_mm_max=proto.capacity.side_mm_max,
        home_lat=proto.home.latitude_deg,
        home_lng=proto.home.longitude_deg,
        preferred_zones=tuple(proto.preferred_zones),
        acceptance=_ACCEPTANCES[proto.acceptance],
    )


def slots_from(protos: Iterable[time_pb2.TimeWindow], violations: list[FieldViolation]) -> list[Slot]:
    """Return slots, after adding to `violations` those whose times are no moments."""
    slots = []
    for place, proto in enumerate(protos):
        start = from_timestamp(proto.start, f"shift_slots[{place}].start", violations)
        end = from_timestamp(proto.end, f"shift_slots[{place}].end", violations)
        if start is not None and end is not None:
            slots.append(Slot(start, end))
    return slots


def partner_to(partner: Partner) -> partner_pb2.Partner:
    """Return the partner as its callers see it."""
    profile = partner.profile
    return partner_pb2.Partner(
        id=str(partner.id),
        profile=partner_pb2.PartnerProfile(
            reference=profile.reference,
            display_name=profile.display_name,
            city_code=profile.city_code,
            vehicle=VEHICLE_NUMBERS[profile.vehicle],
            capacity=partner_pb2.Capacity(
                parcels_max=profile.parcels_max,
                weight_g_max=profile.weight_g_max,
                volume_cm3_max=profile.volume_cm3_max,
                side_mm_max=profile.side_mm_max,
            ),
            home=geo_pb2.Location(latitude_deg=profile.home_lat, longitude_deg=profile.home_lng),
            preferred_zones=profile.preferred_zones,
            acceptance=_ACCEPTANCE_NUMBERS[profile.acceptance],
        ),
        availability=_AVAILABILITY_NUMBERS[partner.availability],
        shift_slots=[time_pb2.TimeWindow(start=timestamp(s.start), end=timestamp(s.end)) for s in partner.slots],
        load=partner_pb2.Load(
            parcels=partner.parcels_held, weight_g=partner.weight_g_held, volume_cm3=partner.volume_cm3_held
        ),
        version=partner.version,
        created_at=timestamp(partner.created_at),
        updated_at=timestamp(partner.updated_at),
    )


def changed_event(partner: Partner, at: datetime, traceparent: str) -> str:
    """Return the event of a partner's onboarding or change."""
    return event_text(
        event_pb2.Event(partner_changed=event_pb2.PartnerChanged(partner=partner_to(partner))),
        subject=f"partners/{partner.id}",
        city_code=partner.profile.city_code,
        sequence=partner.version,
        at=at,
        traceparent=traceparent,
    )
