"""A partner's route: what is left to do of the deliveries that it holds, in the order of the visits. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from uuid import UUID

from services.assignment.deliveries.delivery import Point
from services.assignment.deliveries.lifecycle import DeliveryState


class StopKind(StrEnum):
    """What happens at a stop."""

    PICKUP = "pickup"
    DROP = "drop"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that a partner holds, and where it stands in the partner's route."""

    partner_id: UUID
    offer_id: UUID
    delivery_id: UUID
    state: DeliveryState
    pickup: Point
    drop: Point
    ready_at: datetime
    drop_until: datetime
    pickup_rank: float
    drop_rank: float


@dataclass(frozen=True, slots=True)
class Stop:
    """One visit: nothing changes hands before `ready_at`, and it should have by `due_at`."""

    kind: StopKind
    held: Held
    place: Point
    rank: float
    ready_at: datetime | None
    due_at: datetime | None


# A delivery in one of these still has to be picked up.
_WAITING = frozenset({DeliveryState.OFFERED, DeliveryState.ASSIGNED})


def stops_of(held: Iterable[Held]) -> list[Stop]:
    """Return what one partner has to do, in order; what comes back takes the place that its drop had."""
    stops = []
    for one in held:
        if one.state is DeliveryState.RETURNING:
            stops.append(Stop(StopKind.RETURN, one, one.pickup, one.drop_rank, None, None))
            continue
        if one.state in _WAITING:
            stops.append(Stop(StopKind.PICKUP, one, one.pickup, one.pickup_rank, one.ready_at, None))
        stops.append(Stop(StopKind.DROP, one, one.drop, one.drop_rank, None, one.drop_until))
    # Stable: of equal ranks, a pickup stays before its drop.
    return sorted(stops, key=attrgetter("rank"))
