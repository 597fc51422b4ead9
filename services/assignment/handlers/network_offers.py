"""Notes what partner networks are to know: that one of their partners has an offer, or that an offer is over."""

from collections.abc import Collection, Sequence
from typing import ClassVar
from uuid import UUID

import asyncpg
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2

from libs.postgres.tenancy import visible
from libs.streams.codec import Event
from services.assignment.dispatch import store
from services.assignment.dispatch.update import REFUSED_REASON
from services.assignment.visibility import OPERATOR

_HELD = frozenset({assignment_pb2.OFFER_STATE_OPEN, assignment_pb2.OFFER_STATE_ACCEPTED})
_ACTOR_PARTNER = delivery_pb2.ACTOR_PARTNER


class NetworkOffers:
    """Keeps `network_offers`, which dispatchers work off. What an event brings twice changes nothing."""

    name: ClassVar[str] = "assignment_network_offers"
    types: ClassVar[frozenset[str]] = frozenset({"lastmile.delivery.state_changed.v1"})

    def __init__(self, primary: asyncpg.Pool, dispatched_networks: Collection[str]) -> None:
        self._primary = primary
        self._networks = sorted(dispatched_networks)

    async def handle(self, batch: Sequence[Event]) -> None:
        """Note the offers that began, then those that ended: of one that did both, only its end counts."""
        begun: dict[UUID, tuple[UUID, UUID, UUID]] = {}
        ended: dict[UUID, tuple[UUID, str, bool]] = {}
        for event in batch:
            changed = event.message.delivery_state_changed
            if not changed.HasField("offer"):
                continue
            offer_id, delivery_id = UUID(changed.offer.id), UUID(changed.delivery_id)
            if changed.offer.state in _HELD:
                begun[offer_id] = (offer_id, delivery_id, UUID(changed.offer.partner_id))
            else:
                # Whether a network has what it refused, is known by what it was told.
                is_known = changed.change.actor == _ACTOR_PARTNER and changed.change.reason != REFUSED_REASON
                ended[offer_id] = (offer_id, _why(changed.change), is_known)
        if not self._networks or not (begun or ended):
            return
        async with self._primary.acquire() as connection, visible(connection, OPERATOR):
            await store.wish_offers(connection, list(begun.values()), self._networks)
            await store.wish_ends(connection, list(ended.values()))


def _why(change: delivery_pb2.DeliveryChange) -> str:
    """Return the reason in our own words: who calls a delivery off may give any."""
    if change.reason and change.to_state != delivery_pb2.DELIVERY_STATE_CANCELLED:
        return change.reason
    return "DELIVERY_" + delivery_pb2.DeliveryState.Name(change.to_state).removeprefix("DELIVERY_STATE_")
