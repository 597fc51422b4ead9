"""Weekly partitions in a database of their own: deliveries of any week, and what is left of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import floor_at, new_id
from services.assignment.retention import store

TABLES = ("deliveries", "delivery_changes", "explanations", "offers", "windows")
WEEK = timedelta(weeks=1)
NOW = datetime.now(UTC)
MERCHANT, PARTNER = UUID(int=7), UUID(int=8)
WORLD = f"""
INSERT INTO assignment.cities (code, name, time_zone, center_lat, center_lng, radius_m, window_ms,
  window_deliveries_max, pickup_distance_m_max, offer_ttl_s, dispatch_horizon_s, zone_penalty_s, created_at)
VALUES ('BLR', 'City', 'Asia/Kolkata', 12.97, 77.59, 30000, 2000, 500, 8000, 60, 1800, 300, now());
INSERT INTO assignment.merchants (id, name, reference, created_at) VALUES ('{MERCHANT}', 'Merchant', 'm', now());
INSERT INTO assignment.partners (id, display_name, city_code, vehicle, parcels_max, weight_g_max, volume_cm3_max,
  side_mm_max, home_lat, home_lng, acceptance, availability, created_at, updated_at)
VALUES ('{PARTNER}', 'Asha', 'BLR', 'car', 4, 9000, 90000, 700, 12.9, 77.5, 'by_offer', 'online', now(), now());
"""
# A delivery with one row of everything that hangs on it.
_DELIVERY = """
INSERT INTO assignment.deliveries (id, merchant_id, merchant_reference, city_code, pickup_lat, pickup_lng, drop_lat,
  drop_lng, length_mm, width_mm, height_mm, weight_g, ready_at, drop_from, drop_until, state, match_after, state_at,
  created_at, updated_at)
SELECT '{id}', '{merchant}', '{id}', 'BLR', 12.9, 77.5, 12.9, 77.6, 300, 200, 150, 1200, at, at, at + interval '1 hour',
  '{state}', at, at, at, at FROM (SELECT timestamptz '{at}') AS made (at);
INSERT INTO assignment.delivery_references VALUES ('{merchant}', '{id}', '{id}');
INSERT INTO assignment.delivery_changes (delivery_id, sequence, merchant_id, to_state, actor, occurred_at, recorded_at)
VALUES ('{id}', 1, '{merchant}', 'pending', 'ops', now(), now());
INSERT INTO assignment.offers (id, delivery_id, merchant_id, partner_id, window_id, city_code, state, cost_s, weight_g,
  volume_cm3, offered_at, ended_at)
VALUES (uuidv7(), '{id}', '{merchant}', '{partner}', '{id}', 'BLR', 'withdrawn', 1, 1, 1, now(), now());
INSERT INTO assignment.explanations (delivery_id, merchant_id, window_id, outcome, alternatives, partners_lost,
  partners_feasible, matched_at)
VALUES ('{id}', '{merchant}', '{id}', 'TOO_FAR', '[]', '{{}}', 0, now());
INSERT INTO assignment.windows (id, city_code, closed_at, deliveries, partners, feasible_pairs, assigned, conflicts,
  cost_s, build_ms, solve_ms, commit_ms)
VALUES ('{id}', 'BLR', now(), 0, 0, 0, 0, 0, 0, 0, 0, 0);
"""


class Weeks:
    """A schema of its own, as the owner sees it, and the login that keeps house."""

    def __init__(self, owner: asyncpg.Connection, matcher: asyncpg.Connection) -> None:
        self.owner, self.matcher = owner, matcher

    async def deliver(self, made_at: datetime, state: str = "cancelled") -> UUID:
        """Store a delivery made then, with one row of everything that hangs on it."""
        delivery_id = UUID(int=floor_at(made_at).int | (new_id().int & ((1 << 64) - 1)))
        values = {
            "id": delivery_id,
            "merchant": MERCHANT,
            "partner": PARTNER,
            "at": made_at.isoformat(),
            "state": state,
        }
        await self.owner.execute(_DELIVERY.format(**values))
        return delivery_id

    async def age(self, weeks: int) -> list[UUID]:
        """Make the partitions of the weeks up to now, each when it was due, and a delivery in each; oldest first."""
        ids = []
        for back in range(weeks, -1, -1):
            at = NOW - back * WEEK
            await store.make_partitions(self.matcher, at, 0, 500)
            ids.append(await self.deliver(at))
        return ids

    async def partition_of(self, table: str, delivery_id: UUID) -> str | None:
        key = "id" if table in {"deliveries", "windows"} else "delivery_id"
        query = f"SELECT tableoid::regclass::text FROM assignment.{table} WHERE {key} = $1"
        found = await self.owner.fetchval(query, delivery_id)
        return found and str(found).removeprefix("assignment.")

    async def left(self, delivery_id: UUID) -> set[str]:
        """The tables that still know the delivery."""
        found = {table for table in TABLES if await self.partition_of(table, delivery_id)}
        query = "SELECT EXISTS (SELECT FROM assignment.delivery_references WHERE delivery_id = $1)"
        return found | ({"references"} if await self.owner.fetchval(query, delivery_id) else set())

    async def partitions(self) -> set[str]:
        query = (
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE relnamespace = 'assignment'::regnamespace AND relkind = 'r' AND relname !~ '_other$'"
        )
        return {row["relname"] for row in await self.owner.fetch(query)}
