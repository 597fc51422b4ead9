"""What a delivery is: plain values, as the database holds them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.assignment.deliveries.lifecycle import Actor, DeliveryState

# The currency that partners collect in and are limited in.
RUPEES = "INR"


@dataclass(frozen=True, slots=True)
class Amount:
    """Money: an ISO 4217 code and an integer of its minor unit."""

    currency_code: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Point:
    """WGS 84 degrees."""

    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Details:
    """What a merchant states about a delivery."""

    merchant_id: UUID
    merchant_reference: str
    city_code: str
    pickup: Point
    drop: Point
    length_mm: int
    width_mm: int
    height_mm: int
    weight_g: int
    ready_at: datetime
    drop_from: datetime
    drop_until: datetime
    declared_value: Amount | None
    cash_on_delivery: Amount | None
    vehicles: tuple[str, ...]

    @property
    def volume_cm3(self) -> int:
        """Rounded up, as the database computes it."""
        return -(-self.length_mm * self.width_mm * self.height_mm // 1000)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery with where it is in its life."""

    id: UUID
    details: Details
    state: DeliveryState
    partner_id: UUID | None
    unassigned_reason: str
    match_after: datetime
    version: int
    attempts_failed: int
    state_at: datetime
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One step in a delivery's life; `from_state` is None for its creation."""

    sequence: int
    from_state: DeliveryState | None
    to_state: DeliveryState
    actor: Actor
    partner_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    location: Point | None = None
    reason: str = ""
    note: str = ""
