"""What partners hold, in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.assignment.deliveries.delivery import Point
from services.assignment.deliveries.lifecycle import DeliveryState
from services.assignment.routes.route import Held

# Served by offers_on_route and deliveries_pkey, each id pruned to one partition. OFFSET 0 keeps it at that: the planner
# knows of no pruning by row, and would join the offers of many partners with every delivery there is.
_HELD = """
SELECT o.partner_id, o.id AS offer_id, o.delivery_id, d.state, d.pickup_lat, d.pickup_lng, d.drop_lat, d.drop_lng,
  d.ready_at, d.drop_until, coalesce(o.pickup_rank, 0) AS pickup_rank, coalesce(o.drop_rank, 0) AS drop_rank
FROM assignment.offers o CROSS JOIN LATERAL (
  SELECT * FROM assignment.deliveries WHERE id = o.delivery_id OFFSET 0) AS d
WHERE o.partner_id = ANY ($1::uuid[]) AND o.ended_at IS NULL ORDER BY o.id
"""


async def read_held(connection: asyncpg.Connection, partner_ids: Sequence[UUID]) -> list[Held]:
    """Return what partners hold, in the order in which it was offered to them."""
    return [
        Held(
            partner_id=row["partner_id"],
            offer_id=row["offer_id"],
            delivery_id=row["delivery_id"],
            state=DeliveryState(row["state"]),
            pickup=Point(row["pickup_lat"], row["pickup_lng"]),
            drop=Point(row["drop_lat"], row["drop_lng"]),
            ready_at=row["ready_at"],
            drop_until=row["drop_until"],
            pickup_rank=row["pickup_rank"],
            drop_rank=row["drop_rank"],
        )
        for row in await connection.fetch(_HELD, list(partner_ids))
    ]
