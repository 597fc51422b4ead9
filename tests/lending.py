"""Offers to a network's partners, made and noted without a matcher and a consumer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.tenancy import visible
from libs.streams.codec import decode
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.deliveries.store import NewDelivery
from services.assignment.deliveries.writer import Creation, DeliveryWriter, StateMove, WriterLimits
from services.assignment.handlers.network_offers import NetworkOffers
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, Moved, NewOffer
from services.assignment.visibility import OPERATOR
from tests.factories import CITY, delivery

_OPS = Principal("test", Role.OPS)
_CITY = """
INSERT INTO assignment.cities VALUES ($1, $1, 'Asia/Kolkata', 12.97, 77.59, 30000, 1000, 500, 8000, 60, 1800, 300, 1,
  now()) ON CONFLICT DO NOTHING
"""
_MERCHANT = "INSERT INTO assignment.merchants VALUES ($1, 'Test', $2, now())"
_PARTNER = """
INSERT INTO assignment.partners (id, display_name, city_code, vehicle, parcels_max, weight_g_max, volume_cm3_max,
  side_mm_max, home_lat, home_lng, acceptance, availability, network_code, created_at, updated_at)
VALUES ($1, 'P', $2, 'car', 9, 90000, 900000, 900, 12.9, 77.5, $3, 'online', $4, now(), now())
"""
_NETWORK_OFFER = "SELECT * FROM assignment.network_offers WHERE offer_id = $1"
_DELIVERY = "SELECT * FROM assignment.deliveries WHERE id = $1"
_STATES = "SELECT to_state::text FROM assignment.delivery_changes WHERE delivery_id = $1 ORDER BY sequence"


@dataclass(frozen=True, slots=True)
class Lent:
    """A delivery that a partner of the network was offered."""

    delivery_id: UUID
    offer_id: UUID
    partner_id: UUID


class Lending:
    """A network of the test's own, and offers to its partners."""

    def __init__(self, primary: asyncpg.Pool) -> None:
        self.primary = primary
        self.code = f"n{uuid4().hex[:12]}"
        self.writer = DeliveryWriter(primary, WriterLimits(), self._noted)
        self._events: list[str] = []

    async def offer(self, *, is_automatic: bool = False) -> Lent:
        """Offer a new delivery to a new partner; `is_automatic` needs no answer."""
        merchant_id, lent = new_id(), Lent(new_id(), new_id(), new_id())
        acceptance = "automatic" if is_automatic else "by_offer"
        async with self.primary.acquire() as connection, visible(connection, OPERATOR):
            await connection.execute(_CITY, CITY)
            await connection.execute(_MERCHANT, merchant_id, str(merchant_id))
            await connection.execute(_PARTNER, lent.partner_id, CITY, acceptance, self.code)
        made = delivery(merchant_id=merchant_id)
        lent = Lent(made.id, lent.offer_id, lent.partner_id)
        await self.writer.create(_OPS, Creation(NewDelivery(made, Actor.OPS, '{"id": "x"}'), b"", None))
        expires_at = None if is_automatic else datetime.now(UTC) + timedelta(hours=1)
        to_state = DeliveryState.ASSIGNED if is_automatic else DeliveryState.OFFERED
        new = NewOffer(lent.offer_id, lent.partner_id, new_id(), 1.0, expires_at)
        await self.move(Move(lent.delivery_id, to_state, Actor.MATCHER, new_offer=new))
        await self.hear()
        return lent

    async def move(self, move: Move) -> None:
        """Make a move."""
        await self.writer.move(_OPS, StateMove(move, lambda _: b"", None, None))

    async def hear(self) -> None:
        """Have the consumer take in all that was moved so far."""
        events = [decode("test", f"{place}-0", text.encode()) for place, text in enumerate(self._events, 1)]
        await NetworkOffers(self.primary, [self.code]).handle(events)

    def _noted(self, moved: Moved, traceparent: str) -> str:
        self._events.append(moved_event(moved, traceparent))
        return self._events[-1]

    async def delivery(self, lent: Lent) -> Any:
        """The delivery's row."""
        return await self._row(_DELIVERY, lent.delivery_id)

    async def network_offer(self, lent: Lent) -> Any:
        """What the network is to know of the offer, and knows."""
        return await self._row(_NETWORK_OFFER, lent.offer_id)

    async def history(self, lent: Lent) -> list[str]:
        """The states that the delivery has become, the first of them first."""
        async with self.primary.acquire() as connection, visible(connection, OPERATOR):
            return [row["to_state"] for row in await connection.fetch(_STATES, lent.delivery_id)]

    async def _row(self, query: str, row_id: UUID) -> Any:
        async with self.primary.acquire() as connection, visible(connection, OPERATOR):
            return await connection.fetchrow(query, row_id)
