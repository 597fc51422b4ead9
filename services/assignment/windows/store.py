"""The matcher's statements: leases, and what a window commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from uuid import UUID

import asyncpg

from services.assignment.errors import LeaseLostError

# Served by matchers_pkey.
_ALIVE = """
INSERT INTO assignment.matchers (id, alive_until) VALUES ($1, now() + make_interval(secs => $2))
ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until
"""
_FORGET_DEAD = "DELETE FROM assignment.matchers WHERE alive_until < now()"
_NEW_CITIES = """
INSERT INTO assignment.city_leases (city_code, expires_at) SELECT code, now() FROM assignment.cities
ON CONFLICT DO NOTHING
"""
# Reads the whole table, as the two after it: one row a city.
_RENEW = """
UPDATE assignment.city_leases SET expires_at = now() + make_interval(secs => $2) WHERE holder = $1
RETURNING city_code, fence
"""
_SHARE = """
SELECT ceil((SELECT count(*) FROM assignment.city_leases)::numeric
  / greatest(1, (SELECT count(*) FROM assignment.matchers WHERE alive_until >= now())))::int
"""
_TAKE = """
UPDATE assignment.city_leases SET holder = $1, fence = fence + 1, expires_at = now() + make_interval(secs => $2)
WHERE city_code IN (SELECT city_code FROM assignment.city_leases WHERE holder IS NULL OR expires_at < now()
  ORDER BY city_code LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING city_code, fence
"""
# Served by city_leases_pkey.
_GIVE_UP = """
UPDATE assignment.city_leases SET holder = NULL, expires_at = now() WHERE holder = $1 AND city_code = ANY ($2::text[])
"""
_LEAVE = "DELETE FROM assignment.matchers WHERE id = $1"
# Served by city_leases_pkey. Whoever would take the city over waits until the window has committed.
_FENCE = """
SELECT 1 FROM assignment.city_leases
WHERE city_code = $1 AND holder = $2 AND fence = $3 AND expires_at > now() FOR SHARE
"""
# Served by deliveries_pkey, each id pruned to one partition. The partners are locked by now, so waiting for a delivery
# could close a ring; one that somebody changes at this moment needs no wait before its next try.
_STAY = """
WITH free AS (
  SELECT locked.id FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT id FROM assignment.deliveries WHERE id = wanted.id AND state = 'pending' OFFSET 0
    FOR NO KEY UPDATE SKIP LOCKED) AS locked
)
UPDATE assignment.deliveries d SET unassigned_reason = s.reason, match_attempts = d.match_attempts + 1,
  match_after = now() + make_interval(secs => s.wait_s)
FROM unnest($1::uuid[], $2::text[], $3::float8[]) AS s (id, reason, wait_s) JOIN free USING (id)
WHERE d.id = s.id RETURNING d.id, d.match_after, d.match_attempts
"""
# Served by explanations_pkey.
_EXPLAIN = """
INSERT INTO assignment.explanations AS e (delivery_id, merchant_id, window_id, outcome, chosen, alternatives,
  partners_lost, partners_feasible, matched_at)
SELECT delivery_id, merchant_id, $2, outcome, chosen::jsonb, alternatives::jsonb, partners_lost::jsonb, feasible, now()
FROM unnest($1::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[])
  AS x (delivery_id, merchant_id, outcome, chosen, alternatives, partners_lost, feasible)
ON CONFLICT (delivery_id) DO UPDATE SET window_id = excluded.window_id, outcome = excluded.outcome,
  chosen = excluded.chosen, alternatives = excluded.alternatives, partners_lost = excluded.partners_lost,
  partners_feasible = excluded.partners_feasible, matched_at = excluded.matched_at, remedies = '[]',
  remedies_tried = '{}'
WHERE (e.outcome, e.chosen, e.partners_lost, e.alternatives) IS DISTINCT FROM
  (excluded.outcome, excluded.chosen, excluded.partners_lost, excluded.alternatives)
"""
_WINDOW_COLUMNS = """
  id, city_code, closed_at, deliveries, partners, feasible_pairs, assigned, conflicts, cost_s, build_ms, solve_ms,
  commit_ms, rule_faults, bundles
"""
_RECORD_WINDOW = f"""
INSERT INTO assignment.windows ({_WINDOW_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""  # noqa: S608 - constants
# Served by windows_pkey, each week's from the newest on.
_LIST_WINDOWS = f"SELECT {_WINDOW_COLUMNS} FROM assignment.windows WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608 - constants
# Served by windows_by_city.
_LIST_CITY_WINDOWS = f"""
SELECT {_WINDOW_COLUMNS} FROM assignment.windows WHERE id < $1 AND city_code = $3 ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - constants
# Served by explanations_pkey and deliveries_pkey.
_GET_EXPLANATION = """
SELECT d.id AS delivery_id, e.window_id, e.outcome, e.chosen, e.alternatives, e.partners_lost, e.partners_feasible,
  e.matched_at, e.remedies, e.remedies_tried
FROM assignment.deliveries d LEFT JOIN assignment.explanations e ON e.delivery_id = d.id WHERE d.id = $1
"""
# Served by explanations_pkey, each id pruned to one partition.
_WITHOUT_REMEDIES = """
SELECT wanted.id AS delivery_id FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
  SELECT FROM assignment.explanations
  WHERE delivery_id = wanted.id AND outcome <> 'ASSIGNED' AND remedies_tried = '{}' OFFSET 0) AS e
"""
# Served by explanations_pkey. What a later window has said meanwhile stays: ids rise with the time.
_REMEDY = """
UPDATE assignment.explanations e SET window_id = $1, remedies = r.remedies::jsonb,
  remedies_tried = string_to_array(r.tried, ',')
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS r (delivery_id, outcome, remedies, tried)
WHERE e.delivery_id = r.delivery_id AND e.outcome = r.outcome AND e.remedies_tried = '{}' AND e.window_id <= $1
"""
_ID_MAX = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One run of the matcher over one city. `rule_faults` is JSON."""

    id: UUID
    city_code: str
    closed_at: datetime
    deliveries: int
    partners: int
    feasible_pairs: int
    assigned: int
    conflicts: int
    cost_s: float
    build_ms: float
    solve_ms: float
    commit_ms: float
    rule_faults: str
    bundles: int


async def renew_leases(connection: asyncpg.Connection, holder: UUID, ttl_s: float) -> dict[str, int]:
    """Renew what `holder` has, take or give up cities until it has its fair share; return city -> fence."""
    async with connection.transaction():
        await connection.execute(_ALIVE, holder, ttl_s)
        await connection.execute(_FORGET_DEAD)
        await connection.execute(_NEW_CITIES)
        held = {row["city_code"]: row["fence"] for row in await connection.fetch(_RENEW, holder, ttl_s)}
        share: int = await connection.fetchval(_SHARE)
        if len(held) > share:
            surplus = sorted(held)[share:]
            await connection.execute(_GIVE_UP, holder, surplus)
            for city_code in surplus:
                del held[city_code]
        elif len(held) < share:
            taken = await connection.fetch(_TAKE, holder, ttl_s, share - len(held))
            held.update({row["city_code"]: row["fence"] for row in taken})
    return held


async def leave(connection: asyncpg.Connection, holder: UUID, city_codes: Sequence[str]) -> None:
    """Give every city up, so that others take them over at once."""
    async with connection.transaction():
        await connection.execute(_GIVE_UP, holder, list(city_codes))
        await connection.execute(_LEAVE, holder)


async def check_fence(connection: asyncpg.Connection, city_code: str, holder: UUID, fence: int) -> None:
    """Raise LeaseLostError unless `holder` still has the city; it then keeps it until the transaction ends."""
    if await connection.fetchval(_FENCE, city_code, holder, fence) is None:
        raise LeaseLostError(f"another matcher holds {city_code} by now")


async def stay(
    connection: asyncpg.Connection, rows: Sequence[tuple[UUID, str, float]]
) -> list[tuple[UUID, datetime, int]]:
    """Keep deliveries pending: (id, reason, seconds until the next try); return id, match_after and match_attempts.

    Those are left out that somebody else is changing, or that are pending no more.
    """
    if not rows:
        return []
    ids, reasons, waits_s = zip(*rows, strict=True)
    stayed = await connection.fetch(_STAY, list(ids), list(reasons), list(waits_s))
    return [(row["id"], row["match_after"], row["match_attempts"]) for row in stayed]


async def explain(
    connection: asyncpg.Connection,
    window_id: UUID,
    rows: Sequence[tuple[UUID, UUID, str, str | None, str, str, int]],
) -> None:
    """Keep explanations that say something new: (delivery, merchant, outcome, chosen, alternatives, lost, feasible)."""
    if rows:
        # By id, so that two windows never wait for each other in a ring.
        delivery_ids, *others = (list(column) for column in zip(*sorted(rows, key=itemgetter(0)), strict=True))
        await connection.execute(_EXPLAIN, delivery_ids, window_id, *others)


async def without_remedies(connection: asyncpg.Connection, delivery_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these are unassigned and nobody has sought a remedy for."""
    return {row["delivery_id"] for row in await connection.fetch(_WITHOUT_REMEDIES, list(delivery_ids))}


async def remedy(connection: asyncpg.Connection, window_id: UUID, rows: Sequence[tuple[UUID, str, str, str]]) -> None:
    """Add remedies to explanations: (delivery, outcome, remedies as JSON, kinds tried with commas)."""
    if rows:
        columns = (list(column) for column in zip(*sorted(rows, key=itemgetter(0)), strict=True))
        await connection.execute(_REMEDY, window_id, *columns)


async def record_window(connection: asyncpg.Connection, window: WindowRow) -> None:
    """Keep a window's figures."""
    await connection.execute(_RECORD_WINDOW, *(getattr(window, name) for name in WindowRow.__dataclass_fields__))


async def list_windows(
    connection: asyncpg.Connection, before_id: UUID | None, city_code: str, rows_max: int
) -> list[WindowRow]:
    """Return windows, newest first, before `before_id`; of one city unless `city_code` is empty."""
    query, city = (_LIST_CITY_WINDOWS, [city_code]) if city_code else (_LIST_WINDOWS, [])
    rows = await connection.fetch(query, before_id or _ID_MAX, rows_max, *city)
    return [WindowRow(**row) for row in rows]


async def get_explanation(connection: asyncpg.Connection, delivery_id: UUID) -> asyncpg.Record | None:
    """Return a delivery's explanation; None for a delivery that the transaction may not see."""
    return await connection.fetchrow(_GET_EXPLANATION, delivery_id)
