"""What a picture holds of a delivery that has not ended, and how a change makes the next of it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.assignment.deliveries.delivery import RUPEES, Amount, Delivery, Point
from services.assignment.deliveries.lifecycle import TERMINAL, DeliveryState, OfferState

# Whoever had an offer that ended so is not offered the delivery again.
REFUSED = frozenset({OfferState.REJECTED, OfferState.EXPIRED, OfferState.WITHDRAWN})


class Heard(StrEnum):
    """What an event was to a picture: taken in, known already, or a sign that one before it was missed."""

    NEWS = "news"
    KNOWN = "known"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class LiveOffer:
    """The offer that a delivery hangs on; `expires_at` is None once it is accepted."""

    id: UUID
    partner_id: UUID
    expires_at: datetime | None
    pickup_rank: float
    drop_rank: float


@dataclass(frozen=True, slots=True)
class LiveDelivery:
    """A delivery that is pending or held: what matching and routes need of it."""

    id: UUID
    version: int
    state: DeliveryState
    merchant_id: UUID
    pickup: Point
    drop: Point
    weight_g: int
    volume_cm3: int
    side_mm: int
    ready_at: datetime
    drop_until: datetime
    placed_at: datetime
    vehicles: tuple[str, ...]
    declared_value_paise: int
    cash_on_delivery_paise: int
    match_after: datetime
    match_attempts: int = 0
    declined: frozenset[UUID] = frozenset()
    offer: LiveOffer | None = None


@dataclass(frozen=True, slots=True)
class ConcernedOffer:
    """The offer that a change made, answered or ended."""

    id: UUID
    partner_id: UUID
    state: OfferState
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something has become of a delivery, and the event does not say enough of it."""

    id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class StateChange:
    """One move of a delivery. `ranks`, pickup and drop, are those of an offer that it made, where they are known."""

    id: UUID
    version: int
    to_state: DeliveryState
    recorded_at: datetime
    match_after: datetime | None
    offer: ConcernedOffer | None
    ranks: tuple[float, float] | None
    # Whether the delivery was over before.
    is_correction: bool = False

    @property
    def ends(self) -> bool:
        """Whether the delivery is over."""
        return self.to_state in TERMINAL

    @property
    def completed_by(self) -> UUID | None:
        """The partner who has brought the delivery to its end."""
        done = self.offer is not None and self.offer.state is OfferState.COMPLETED
        return self.offer.partner_id if self.offer is not None and done else None


def live_from(
    delivery: Delivery,
    *,
    match_attempts: int = 0,
    declined: frozenset[UUID] = frozenset(),
    offer: LiveOffer | None = None,
) -> LiveDelivery:
    """Return what a picture holds of a delivery."""
    details = delivery.details
    return LiveDelivery(
        id=delivery.id,
        version=delivery.version,
        state=delivery.state,
        merchant_id=details.merchant_id,
        pickup=details.pickup,
        drop=details.drop,
        weight_g=details.weight_g,
        volume_cm3=details.volume_cm3,
        side_mm=max(details.length_mm, details.width_mm, details.height_mm),
        ready_at=details.ready_at,
        drop_until=details.drop_until,
        placed_at=delivery.created_at,
        vehicles=details.vehicles,
        declared_value_paise=_paise(details.declared_value),
        cash_on_delivery_paise=_paise(details.cash_on_delivery),
        match_after=delivery.match_after,
        match_attempts=match_attempts,
        declined=declined,
        offer=offer,
    )


def after(live: LiveDelivery, change: StateChange) -> LiveDelivery | None:
    """Return the delivery after its next change, which does not end it; None where the change does not say enough."""
    pending = change.to_state is DeliveryState.PENDING
    offer, declined = live.offer, live.declined
    concerned = change.offer
    if concerned is not None and concerned.state in REFUSED:
        offer, declined = None, declined | {concerned.partner_id}
    elif concerned is not None:
        known = offer if offer is not None and offer.id == concerned.id else None
        ranks = (known.pickup_rank, known.drop_rank) if known is not None else change.ranks
        if ranks is None:
            return None
        expires_at = concerned.expires_at if concerned.state is OfferState.OPEN else None
        offer = LiveOffer(concerned.id, concerned.partner_id, expires_at, *ranks)
    if pending == (offer is not None) or (pending and change.match_after is None):
        return None
    return replace(
        live,
        version=change.version,
        state=change.to_state,
        match_after=change.match_after if pending and change.match_after is not None else live.match_after,
        match_attempts=0 if pending else live.match_attempts,
        declined=declined,
        offer=offer,
    )


def _paise(amount: Amount | None) -> int:
    return amount.amount_minor if amount is not None and amount.currency_code == RUPEES else 0
