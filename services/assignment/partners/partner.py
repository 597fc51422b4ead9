"""What a partner is: plain values, as the database holds them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.assignment.deliveries.delivery import Point


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a partner can carry at once."""

    parcels_max: int
    weight_g_max: int
    volume_cm3_max: int
    side_mm_max: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a partner holds now: offered, assigned and on board."""

    parcels: int = 0
    weight_g: int = 0
    volume_cm3: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """What ops state about a partner."""

    reference: str
    display_name: str
    city_code: str
    vehicle: str
    capacity: Capacity
    home: Point
    preferred_zones: tuple[str, ...]
    acceptance: str
    rating: float | None = None
    cash_limit_paise: int | None = None
    network_code: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of a shift: start inclusive, end exclusive."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner; `version` counts its changes, and what it holds is none."""

    id: UUID
    profile: Profile
    availability: str
    shift_slots: tuple[Slot, ...]
    load: Load
    version: int
    created_at: datetime
    updated_at: datetime
