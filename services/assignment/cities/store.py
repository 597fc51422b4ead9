"""Cities in PostgreSQL: every statement of this noun."""

import json
from dataclasses import asdict

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.cities.city import City, MatchingPolicy, RuleSetting, VehicleSpeed
from services.assignment.events import LOG_PREFIX

_COLUMNS = """
  code, name, time_zone, center_lat, center_lng, radius_m, window_ms, window_deliveries_max, pickup_distance_m_max,
  offer_ttl_s, dispatch_horizon_s, zone_penalty_s, rules, speeds, version, created_at
"""
# Served by cities_pkey.
_INSERT = f"""
INSERT INTO assignment.cities ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (code) DO NOTHING RETURNING code
"""  # noqa: S608 - a constant
# Served by cities_pkey.
_GET = f"SELECT {_COLUMNS} FROM assignment.cities WHERE code = $1"  # noqa: S608 - a constant
# Served by cities_pkey, whose order is the list's.
_LIST = f"SELECT {_COLUMNS} FROM assignment.cities WHERE code > $1 ORDER BY code LIMIT $2"  # noqa: S608 - a constant
# Served by no index: it reads every city, and there are dozens.
_ALL = f"SELECT {_COLUMNS} FROM assignment.cities"  # noqa: S608 - a constant
# Served by cities_pkey.
_REPLACE_POLICY = f"""
UPDATE assignment.cities SET window_ms = $2, window_deliveries_max = $3, pickup_distance_m_max = $4, offer_ttl_s = $5,
  dispatch_horizon_s = $6, zone_penalty_s = $7, rules = $8, speeds = $9, version = version + 1
WHERE code = $1 RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant


async def create(connection: asyncpg.Connection, city: City, event: str) -> City | None:
    """Store a city with its event and return None, or return the city that has its code."""
    values = (city.code, city.name, city.time_zone, city.center_lat, city.center_lng, city.radius_m)
    if await connection.fetchval(_INSERT, *values, *_policy_values(city.policy), city.version, city.created_at) is None:
        return await get(connection, city.code)
    await emit(connection, LOG_PREFIX, [event])
    return None


async def get(connection: asyncpg.Connection, code: str) -> City | None:
    """Return a city, or None for an unknown code."""
    row = await connection.fetchrow(_GET, code)
    return _city_from(row) if row else None


async def search(connection: asyncpg.Connection, after_code: str, rows_max: int) -> list[City]:
    """Return cities in the order of their codes, after `after_code`."""
    return [_city_from(row) for row in await connection.fetch(_LIST, after_code, rows_max)]


async def every(connection: asyncpg.Connection) -> list[City]:
    """Return every city."""
    return [_city_from(row) for row in await connection.fetch(_ALL)]


async def replace_policy(connection: asyncpg.Connection, code: str, policy: MatchingPolicy) -> City | None:
    """Replace a city's policy and return the city, or None for an unknown code. The caller emits its event."""
    row = await connection.fetchrow(_REPLACE_POLICY, code, *_policy_values(policy))
    return _city_from(row) if row else None


def _policy_values(policy: MatchingPolicy) -> tuple[object, ...]:
    *numbers, rules, speeds = asdict(policy).values()
    return *numbers, json.dumps(rules), json.dumps(speeds)


def _city_from(row: asyncpg.Record) -> City:
    return City(
        code=row["code"],
        name=row["name"],
        time_zone=row["time_zone"],
        center_lat=row["center_lat"],
        center_lng=row["center_lng"],
        radius_m=row["radius_m"],
        policy=MatchingPolicy(
            window_ms=row["window_ms"],
            window_deliveries_max=row["window_deliveries_max"],
            pickup_distance_m_max=row["pickup_distance_m_max"],
            offer_ttl_s=row["offer_ttl_s"],
            dispatch_horizon_s=row["dispatch_horizon_s"],
            zone_penalty_s=row["zone_penalty_s"],
            rules={name: RuleSetting(**setting) for name, setting in json.loads(row["rules"]).items()},
            speeds=tuple(
                VehicleSpeed(speed["vehicle"], tuple(speed["speed_m_per_s"])) for speed in json.loads(row["speeds"])
            ),
        ),
        version=row["version"],
        created_at=row["created_at"],
    )
