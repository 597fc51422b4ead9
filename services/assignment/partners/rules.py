"""What must hold of a partner beyond its proto's rules: its home, its shift slots, and what it carries."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from libs.grpc_server.errors import FieldViolation
from services.assignment.cities.city import City
from services.assignment.partners.partner import Partner, Profile, Slot

SLOT_LENGTH_MAX = timedelta(hours=24)


def profile_violations(profile: Profile, city: City | None) -> list[FieldViolation]:
    """Return what is wrong with a profile's city and home."""
    if city is None:
        said = f"no city has the code {profile.city_code!r}; see /v1/cities"
        return [FieldViolation("profile.city_code", said, "city.known")]
    distance_m = city.distance_from_center_m(profile.home.lat, profile.home.lng)
    if distance_m <= city.radius_m:
        return []
    said = f"lies {distance_m / 1000:.0f} km from the center of {city.code}, whose service area ends at"
    return [FieldViolation("profile.home", f"{said} {city.radius_m / 1000:.0f} km", "city.service_area")]


def slot_violations(slots: Sequence[Slot], now: datetime) -> list[FieldViolation]:
    """Return what is wrong with shift slots, which may come in any order and may touch; paths name the given place."""
    found = []
    for place, slot in enumerate(slots):
        field = f"shift_slots[{place}]"
        if slot.start >= slot.end:
            found.append(FieldViolation(field, "is shorter than a microsecond", "time_window.order"))
        elif slot.end - slot.start > SLOT_LENGTH_MAX:
            found.append(FieldViolation(field, "is longer than 24 hours", "shift_slot.length_max"))
        if slot.end <= now:
            found.append(FieldViolation(f"{field}.end", "lies in the past", "shift_slot.future"))
    by_start = sorted(range(len(slots)), key=lambda place: (slots[place].start, slots[place].end))
    for earlier, later in pairwise(by_start):
        if slots[later].start < slots[earlier].end:
            said = f"overlaps shift_slots[{earlier}]"
            found.append(FieldViolation(f"shift_slots[{later}]", said, "shift_slot.overlap"))
    return found


def in_order(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    """Return shift slots as they are stored: the earliest first."""
    return tuple(sorted(slots, key=lambda slot: slot.start))


def why_busy(partner: Partner, profile: Profile) -> str | None:
    """Return why what the partner carries forbids its new profile, or None."""
    load, capacity = partner.load, profile.capacity
    if load.parcels and profile.city_code != partner.profile.city_code:
        return f"it holds {load.parcels} parcels in {partner.profile.city_code}; its city can change when it holds none"
    for held, limit, what in (
        (load.parcels, capacity.parcels_max, "parcels"),
        (load.weight_g, capacity.weight_g_max, "g"),
        (load.volume_cm3, capacity.volume_cm3_max, "cm3"),
    ):
        if held > limit:
            return f"it holds {held} {what}, more than the new capacity of {limit} {what}"
    return None
