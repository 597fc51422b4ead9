"""What an offer and a move are: plain values."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.assignment.deliveries.delivery import Change, Delivery, Point
from services.assignment.deliveries.lifecycle import Actor, DeliveryState, OfferState


@dataclass(frozen=True, slots=True)
class Offer:
    """A proposed assignment; once accepted, the assignment itself."""

    id: UUID
    delivery_id: UUID
    partner_id: UUID
    window_id: UUID
    city_code: str
    state: OfferState
    cost_s: float
    offered_at: datetime
    expires_at: datetime | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewOffer:
    """The offer that a move makes. Without `expires_at` it needs no answer and is accepted at once.

    The ranks say where its stops come in the partner's route; without them they come last.
    """

    id: UUID
    partner_id: UUID
    window_id: UUID
    cost_s: float
    expires_at: datetime | None
    pickup_rank: float | None = None
    drop_rank: float | None = None
    # Refuse when the partner has changed since; None for whatever it is by now.
    partner_version: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A wish to move a delivery on. What is None is not asked for.

    `only_partner_id`: refuse unless this partner has it. `only_merchant_id`: likewise. `expected_version`: refuse
    when the delivery has changed since. `offer_id`: refuse unless this is the live offer. `offer_becomes` replaces
    what the lifecycle's table says of the live offer. `corrects`: put right what is known of the state that the
    delivery is in, `occurred_at` being when it came there.
    """

    delivery_id: UUID
    to_state: DeliveryState
    actor: Actor
    occurred_at: datetime | None = None
    only_partner_id: UUID | None = None
    location: Point | None = None
    reason: str = ""
    note: str = ""
    new_offer: NewOffer | None = None
    offer_id: UUID | None = None
    offer_becomes: OfferState | None = None
    expected_version: int | None = None
    corrects: bool = False
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move that was made: the delivery after it, the step in its history, and the offer that it concerned.

    `ranks` are those of an offer that it made, pickup and drop, where they were given.
    """

    delivery: Delivery
    change: Change
    offer: Offer | None
    ranks: tuple[float, float] | None = None
