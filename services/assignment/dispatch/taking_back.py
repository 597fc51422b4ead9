"""Takes offers back from a network that cannot be told of them: they match elsewhere."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from services.assignment.deliveries.lifecycle import Actor, DeliveryState, OfferState
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, Moved
from services.assignment.offers.store import transition

REASON = "NETWORK_DOWN"


async def take_back(connection: asyncpg.Connection, offers: Sequence[tuple[UUID, UUID]]) -> int:
    """Withdraw offers (offer, delivery) in the current transaction; return how many still could be."""
    moves = [
        Move(
            delivery_id=delivery_id,
            to_state=DeliveryState.PENDING,
            actor=Actor.MATCHER,
            reason=REASON,
            offer_id=offer_id,
            offer_becomes=OfferState.WITHDRAWN,
        )
        for offer_id, delivery_id in offers
    ]
    # One that was answered a moment ago is refused, and that is its answer.
    outcomes = await transition(connection, moves, datetime.now(UTC), moved_event) if moves else []
    return sum(isinstance(outcome, Moved) for outcome in outcomes)
