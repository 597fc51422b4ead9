"""What a partner is, and what must hold of its profile and its shift slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from libs.grpc_server.errors import FieldViolation
from services.assignment.cities.city import City

SLOT_LENGTH_MAX = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Slot:
    """A span of a shift, start inclusive and end exclusive."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Profile:
    """What ops state about a partner."""

    reference: str
    display_name: str
    city_code: str
    vehicle: str
    parcels_max: int
    weight_g_max: int
    volume_cm3_max: int
    side_mm_max: int
    home_lat: float
    home_lng: float
    preferred_zones: tuple[str, ...]
    acceptance: str


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner with its availability, shift and load."""

    id: UUID
    profile: Profile
    availability: str
    slots: tuple[Slot, ...]
    parcels_held: int
    weight_g_held: int
    volume_cm3_held: int
    version: int
    created_at: datetime
    updated_at: datetime


def profile_violations(profile: Profile, city: City | None) -> list[FieldViolation]:
    """Return what is wrong with a profile's city and home."""
    if city is None:
        said = f"no city has the code {profile.city_code!r}; see /v1/cities"
        return [FieldViolation("profile.city_code", said, "city.known")]
    distance_m = city.distance_from_center_m(profile.home_lat, profile.home_lng)
    if distance_m > city.radius_m:
        said = f"lies {distance_m / 1000:.0f} km from the center of {city.code}, whose service area ends at"
        return [FieldViolation("profile.home", f"{said} {city.radius_m / 1000:.0f} km", "city.service_area")]
    return []


def slot_violations(slots: Sequence[Slot], now: datetime) -> list[FieldViolation]:
    """Return what is wrong with shift slots: their order, length, past and overlaps."""
    found = []
    for place, slot in enumerate(slots):
        field = f"shift_slots[{place}]"
        if slot.start >= slot.end:
            found.append(FieldViolation(field, "start must be before end", "time_window.order"))
        elif slot.end - slot.start > SLOT_LENGTH_MAX:
            found.append(FieldViolation(field, "lasts more than 24 hours", "shift_slot.length_max"))
        if slot.end <= now:
            found.append(FieldViolation(f"{field}.end", "lies in the past", "shift_slot.future"))
    by_start = sorted(range(len(slots)), key=lambda place: slots[place].start)
    for earlier, later in zip(by_start, by_start[1:], strict=False):
        if slots[later].start < slots[earlier].end:
            said = f"overlaps shift_slots[{earlier}]"
            found.append(FieldViolation(f"shift_slots[{later}]", said, "shift_slot.overlap"))
    return found
