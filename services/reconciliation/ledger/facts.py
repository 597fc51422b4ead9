"""What the ledger knows of a delivery: its changes, in whatever order and however often they arrived.

Nothing is concluded from a story with a hole in it: changes are numbered from 1 without gaps, so it is known when one
is still to come. What is concluded therefore does not depend on the order in which the changes came.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

EARTH_RADIUS_M = 6_371_008.8
ASSIGNED, PICKED_UP, DELIVERED, CANCELLED = "assigned", "picked_up", "delivered", "cancelled"


@dataclass(frozen=True, slots=True)
class Order:
    """What the creation of a delivery says about it."""

    merchant_id: UUID
    city_code: str
    distance_m: int
    weight_g: int
    cash_paise: int
    ready_at: datetime
    drop_until: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a delivery, and the event that told of it; the first one carries the order."""

    delivery_id: UUID
    sequence: int
    event_id: UUID
    state: str
    occurred_at: datetime
    partner_id: UUID | None = None
    order: Order | None = None


Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class PartnerVersion:
    """What a partner rode and who lent it, from a moment on."""

    partner_id: UUID
    version: int
    event_id: UUID
    vehicle: str
    network_code: str
    changed_at: datetime
    city_code: str = ""
    is_online: bool = False
    # When it works while it is online; none means always.
    slots: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Trip:
    """A delivery that was handed over: all that its price depends on, and the events that say so, oldest first.

    `priced_at` is when its hand-over was said to be first: by the versions of then it is paid, whatever is corrected
    since, so that a correction moves no pay from one contract to another.
    """

    delivery_id: UUID
    merchant_id: UUID
    partner_id: UUID
    city_code: str
    distance_m: int
    weight_g: int
    cash_paise: int
    waited_s: int
    late_s: int
    delivered_at: datetime
    priced_at: datetime
    event_ids: tuple[UUID, ...]


def is_whole(changes: Iterable[Change]) -> bool:
    """Return whether no change before the last known one is missing."""
    sequences = {change.sequence for change in changes}
    return bool(sequences) and sequences == set(range(1, max(sequences) + 1))


def latest(changes: Iterable[Change]) -> Change:
    """Return the last change."""
    return max(changes, key=lambda change: change.sequence)


def trip_of(changes: Sequence[Change]) -> Trip | None:
    """Return the trip that the changes tell of; None when they lack its creation, its partner or its hand-over.

    The partner waits from when the goods were ready and it was on its way, whichever is later, until the pickup: there
    is no event of its arrival, so the rate card's free time also covers the way.
    """
    ordered = sorted(changes, key=lambda change: change.sequence)
    order = ordered[0].order if ordered else None
    delivered = _last(ordered, DELIVERED)
    first = min((c for c in ordered if c.state == DELIVERED), key=lambda c: c.sequence, default=None)
    picked_up = _last(ordered, PICKED_UP)
    assigned = _last([c for c in ordered if picked_up is None or c.sequence < picked_up.sequence], ASSIGNED)
    if (
        order is None
        or first is None
        or delivered is None
        or picked_up is None
        or assigned is None
        or assigned.partner_id is None
    ):
        return None
    return Trip(
        delivery_id=delivered.delivery_id,
        merchant_id=order.merchant_id,
        partner_id=assigned.partner_id,
        city_code=order.city_code,
        distance_m=order.distance_m,
        weight_g=order.weight_g,
        cash_paise=order.cash_paise,
        waited_s=_seconds(max(order.ready_at, assigned.occurred_at), picked_up.occurred_at),
        late_s=_seconds(order.drop_until, delivered.occurred_at),
        delivered_at=delivered.occurred_at,
        priced_at=first.occurred_at,
        event_ids=tuple(dict.fromkeys(c.event_id for c in (ordered[0], assigned, picked_up, first, delivered))),
    )


def version_at(versions: Iterable[PartnerVersion], at: datetime) -> PartnerVersion | None:
    """Return what the partner was at a moment: its last version until then, or the first that is known, or None."""
    known = sorted(versions, key=lambda version: version.version)
    until = [version for version in known if version.changed_at <= at]
    return next(iter(until[-1:] or known[:1]), None)


def distance_m(from_lat: float, from_lng: float, to_lat: float, to_lng: float) -> int:
    """Return the whole metres between two points in degrees, along the great circle (haversine)."""
    phi, phi_to = math.radians(from_lat), math.radians(to_lat)
    half_lat, half_lng = (phi_to - phi) / 2, math.radians(to_lng - from_lng) / 2
    squared = math.sin(half_lat) ** 2 + math.cos(phi) * math.cos(phi_to) * math.sin(half_lng) ** 2
    return round(2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(squared))))


def _last(changes: Iterable[Change], state: str) -> Change | None:
    return max((c for c in changes if c.state == state), key=lambda c: c.sequence, default=None)


def _seconds(start: datetime, end: datetime) -> int:
    """Whole seconds from start to end, 0 when it does not come later."""
    return max(0, int((end - start).total_seconds()))
