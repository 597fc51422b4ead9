"""Offers of partner networks in PostgreSQL: what each network is to know, and what it knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.assignment.deliveries.lifecycle import DeliveryState, OfferState
from services.assignment.dispatch.update import Standing

# Served by partners_pkey. What came before changes nothing: an event may come again.
_WISH_OFFERS = """
INSERT INTO assignment.network_offers (offer_id, delivery_id, partner_id, network_code, wish, due_at, created_at,
  updated_at)
SELECT w.offer_id, w.delivery_id, p.id, p.network_code, 'offer', now(), now(), now()
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w (offer_id, delivery_id, partner_id)
JOIN assignment.partners p ON p.id = w.partner_id
WHERE p.network_code = ANY ($4::text[])
ON CONFLICT (offer_id) DO NOTHING
"""
# Served by network_offers_pkey. A network that knows nothing of an offer, or has ended it itself, is told nothing.
_WISH_ENDS = """
UPDATE assignment.network_offers n
SET wish = 'end', reason = w.reason, updated_at = now(),
  due_at = CASE WHEN w.is_known OR (n.told = 'nothing' AND n.leased_until IS NULL) THEN NULL ELSE now() END
FROM unnest($1::uuid[], $2::text[], $3::bool[]) AS w (offer_id, reason, is_known)
WHERE n.offer_id = w.offer_id AND n.wish = 'offer'
"""
# Served by network_offers_pkey. Whoever accepts what is over does not know, or has not heard.
_END_AGAIN = """
UPDATE assignment.network_offers SET due_at = now(), updated_at = now(),
  told = CASE WHEN told = 'nothing' THEN 'maybe' ELSE told END
WHERE offer_id = $1 AND wish = 'end'
"""
# Served by network_offers_due. That a network may know of an offer is written before it is told.
_LEASE = """
UPDATE assignment.network_offers n
SET leased_until = now() + make_interval(secs => $3), attempts = n.attempts + 1, updated_at = now(),
  told = CASE WHEN n.told = 'nothing' AND n.wish = 'offer' THEN 'maybe' ELSE n.told END
FROM (
  SELECT offer_id, told FROM assignment.network_offers
  WHERE network_code = $1 AND due_at <= now() AND (leased_until IS NULL OR leased_until < now())
  ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
WHERE n.offer_id = due.offer_id
RETURNING n.offer_id, n.delivery_id, n.partner_id, n.wish, n.reason, n.attempts, n.created_at, due.told AS told_before
"""
# Served by offers_pkey and deliveries_pkey, each pruned to one week, and by partners_pkey.
_DETAILS = """
SELECT o.id AS offer_id, o.delivery_id, o.partner_id, p.reference AS partner_reference, o.state AS offer_state,
  o.expires_at, d.city_code, d.pickup_lat, d.pickup_lng, d.drop_lat, d.drop_lng, d.ready_at, d.drop_from, d.drop_until,
  d.weight_g, d.length_mm, d.width_mm, d.height_mm, d.cash_on_delivery_minor, d.cash_on_delivery_currency
FROM unnest($1::uuid[], $2::uuid[]) AS w (offer_id, delivery_id)
CROSS JOIN LATERAL (
  SELECT * FROM assignment.offers WHERE delivery_id = w.delivery_id AND id = w.offer_id OFFSET 0) AS o
CROSS JOIN LATERAL (SELECT * FROM assignment.deliveries WHERE id = w.delivery_id OFFSET 0) AS d
JOIN assignment.partners p ON p.id = o.partner_id
"""
# Served by network_offers_pkey. Where the wish has changed meanwhile, the new one is due, if the network needs it.
_SETTLE = """
UPDATE assignment.network_offers
SET leased_until = NULL, told = $3, last_error = $4, updated_at = now(),
  due_at = CASE WHEN wish = $2 THEN $5 WHEN $3 IN ('nothing'::assignment.network_told, 'end') THEN NULL ELSE now() END
WHERE offer_id = $1
"""
# Served by network_offers_open, and offers_pkey, each pruned to one week. What needs no answer is accepted at once, and
# holds as soon as the network may have heard of it.
_TO_TAKE_BACK = """
SELECT n.offer_id, n.delivery_id FROM assignment.network_offers n
CROSS JOIN LATERAL (
  SELECT state, expires_at FROM assignment.offers
  WHERE delivery_id = n.delivery_id AND id = n.offer_id OFFSET 0) AS o
WHERE n.network_code = $1 AND n.wish = 'offer'
  AND (o.state = 'open' OR (o.state = 'accepted' AND o.expires_at IS NULL AND n.told = 'nothing')) LIMIT $2
"""
# Served by network_offers_pkey, then by offers_pkey and deliveries_pkey, each pruned to one week.
_STANDING = """
SELECT n.delivery_id, n.partner_id, o.state AS offer_state, d.state, d.state_at, d.version, n.network_at
FROM assignment.network_offers n
CROSS JOIN LATERAL (
  SELECT state FROM assignment.offers WHERE delivery_id = n.delivery_id AND id = n.offer_id OFFSET 0) AS o
CROSS JOIN LATERAL (SELECT state, state_at, version FROM assignment.deliveries WHERE id = n.delivery_id OFFSET 0) AS d
WHERE n.offer_id = $1 AND n.network_code = $2
"""
# Served by network_offers_pkey.
_TOLD_AT = """
UPDATE assignment.network_offers SET network_at = greatest(network_at, $2) WHERE offer_id = $1
"""
# Served by network_cursors_pkey.
_CURSOR = "SELECT cursor FROM assignment.network_cursors WHERE network_code = $1"
# Served by network_cursors_pkey.
_KEEP_CURSOR = """
INSERT INTO assignment.network_cursors (network_code, cursor, updated_at) VALUES ($1, $2, now())
ON CONFLICT (network_code) DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at
"""
# Served by network_offers_by_age.
_FORGET = """
DELETE FROM assignment.network_offers WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM assignment.network_offers WHERE due_at IS NULL AND updated_at < $1 LIMIT $2))
"""


@dataclass(frozen=True, slots=True)
class Errand:
    """Something to tell a network, leased. `details` is None where the offer is no more."""

    offer_id: UUID
    delivery_id: UUID
    wish: str
    reason: str
    attempts: int
    created_at: datetime
    told_before: str
    details: dict[str, Any] | None


async def wish_offers(
    connection: asyncpg.Connection, rows: Sequence[tuple[UUID, UUID, UUID]], networks: Sequence[str]
) -> None:
    """Have offers (offer, delivery, partner) told to those of `networks` that their partners are of."""
    if rows:
        await connection.execute(_WISH_OFFERS, *map(list, zip(*rows, strict=True)), list(networks))


async def wish_ends(connection: asyncpg.Connection, rows: Sequence[tuple[UUID, str, bool]]) -> None:
    """Have the end of offers (offer, reason, whether the network ended it itself) told."""
    if rows:
        await connection.execute(_WISH_ENDS, *map(list, zip(*rows, strict=True)))


async def end_again(connection: asyncpg.Connection, offer_id: UUID) -> None:
    """Have the end of an offer told again, if it has ended."""
    await connection.execute(_END_AGAIN, offer_id)


async def lease(connection: asyncpg.Connection, network_code: str, rows_max: int, lease_s: float) -> list[Errand]:
    """Lease what is due, the oldest first, in the current transaction."""
    leased = await connection.fetch(_LEASE, network_code, rows_max, lease_s)
    if not leased:
        return []
    found = await connection.fetch(
        _DETAILS, [row["offer_id"] for row in leased], [row["delivery_id"] for row in leased]
    )
    details = {row["offer_id"]: dict(row) for row in found}
    return [
        Errand(
            row["offer_id"],
            row["delivery_id"],
            row["wish"],
            row["reason"],
            row["attempts"],
            row["created_at"],
            row["told_before"],
            details.get(row["offer_id"]),
        )
        for row in leased
    ]


async def settle(
    connection: asyncpg.Connection, errand: Errand, told: str, error: str, due_at: datetime | None
) -> None:
    """Give a leased errand back: what the network knows by now, and when to try again."""
    await connection.execute(_SETTLE, errand.offer_id, errand.wish, told, error, due_at)


async def offers_to_take_back(
    connection: asyncpg.Connection, network_code: str, rows_max: int
) -> list[tuple[UUID, UUID]]:
    """Return (offer, delivery) of what a network has not answered, or needs no answer and it has not heard of."""
    found = await connection.fetch(_TO_TAKE_BACK, network_code, rows_max)
    return [(row["offer_id"], row["delivery_id"]) for row in found]


async def standing(connection: asyncpg.Connection, offer_id: UUID, network_code: str) -> Standing | None:
    """Return where a network's offer is; None where it has no such offer."""
    row = await connection.fetchrow(_STANDING, offer_id, network_code)
    if row is None:
        return None
    return Standing(
        row["delivery_id"],
        row["partner_id"],
        OfferState(row["offer_state"]),
        DeliveryState(row["state"]),
        row["state_at"],
        row["version"],
        row["network_at"],
    )


async def told_at(connection: asyncpg.Connection, offer_id: UUID, at: datetime) -> None:
    """Keep the time that a network has told of an offer, if it is the latest."""
    await connection.execute(_TOLD_AT, offer_id, at)


async def cursor(connection: asyncpg.Connection, network_code: str) -> str:
    """Return where the polling of a network goes on; empty at first."""
    return await connection.fetchval(_CURSOR, network_code) or ""


async def keep_cursor(connection: asyncpg.Connection, network_code: str, after: str) -> None:
    """Keep where the polling of a network goes on."""
    await connection.execute(_KEEP_CURSOR, network_code, after)


async def forget(connection: asyncpg.Connection, before: datetime, rows_max: int) -> int:
    """Delete up to `rows_max` offers that have had nothing to tell since `before`; return how many there were."""
    return int((await connection.execute(_FORGET, before, rows_max)).split()[-1])
