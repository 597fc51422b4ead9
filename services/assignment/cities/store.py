"""Cities in PostgreSQL."""

from collections.abc import Sequence

import asyncpg

from services.assignment.cities.city import City, MatchingPolicy

_COLUMNS = """
  code, name, time_zone, center_lat, center_lng, radius_m, window_ms, window_deliveries_max, pickup_distance_m_max,
  offer_ttl_s, dispatch_horizon_s, zone_penalty_s, version, created_at
"""
_INSERT = f"""
INSERT INTO assignment.cities ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT DO NOTHING RETURNING code
"""  # noqa: S608 - constants
# Served by cities_pkey.
_GET = f"SELECT {_COLUMNS} FROM assignment.cities WHERE code = $1"  # noqa: S608 - constants
# Served by cities_pkey.
_LIST = f"SELECT {_COLUMNS} FROM assignment.cities WHERE code > $1 ORDER BY code LIMIT $2"  # noqa: S608 - constants
# Served by cities_pkey.
_SET_POLICY = f"""
UPDATE assignment.cities SET window_ms = $2, window_deliveries_max = $3, pickup_distance_m_max = $4, offer_ttl_s = $5,
  dispatch_horizon_s = $6, zone_penalty_s = $7, version = version + 1
WHERE code = $1 RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
# Reads the whole table: a few dozen rows.
_ALL = f"SELECT {_COLUMNS} FROM assignment.cities"  # noqa: S608 - constants


async def create(connection: asyncpg.Connection, city: City) -> bool:
    """Store a city; return False when its code is taken."""
    values = (city.code, city.name, city.time_zone, city.center_lat, city.center_lng, city.radius_m)
    return bool(
        await connection.fetchval(_INSERT, *values, *_policy_values(city.policy), city.version, city.created_at)
    )


async def get(connection: asyncpg.Connection, code: str) -> City | None:
    """Return a city, or None."""
    row = await connection.fetchrow(_GET, code)
    return _city_from(row) if row else None


async def search(connection: asyncpg.Connection, after_code: str, rows_max: int) -> list[City]:
    """Return cities in the order of their codes, after `after_code`."""
    return [_city_from(row) for row in await connection.fetch(_LIST, after_code, rows_max)]


async def every(connection: asyncpg.Connection) -> Sequence[City]:
    """Return all cities."""
    return [_city_from(row) for row in await connection.fetch(_ALL)]


async def set_policy(connection: asyncpg.Connection, code: str, policy: MatchingPolicy) -> City | None:
    """Replace a city's policy; return the city, or None when there is none."""
    row = await connection.fetchrow(_SET_POLICY, code, *_policy_values(policy))
    return _city_from(row) if row else None


def _policy_values(policy: MatchingPolicy) -> tuple[int, ...]:
    return (
        policy.window_ms,
        policy.window_deliveries_max,
        policy.pickup_distance_m_max,
        policy.offer_ttl_s,
        policy.dispatch_horizon_s,
        policy.zone_penalty_s,
    )


def _city_from(row: asyncpg.Record) -> City:
    policy = MatchingPolicy(**{name: row[name] for name in MatchingPolicy.__dataclass_fields__})
    return City(
        code=row["code"],
        name=row["name"],
        time_zone=row["time_zone"],
        center_lat=row["center_lat"],
        center_lng=row["center_lng"],
        radius_m=row["radius_m"],
        policy=policy,
        version=row["version"],
        created_at=row["created_at"],
    )
