"""Rate cards in PostgreSQL: every statement of this noun."""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.ledger.rates import RateCard, Scope
from services.reconciliation.rate_cards.terms import terms_from_json, terms_to_json

_COLUMNS = "id, city_code, vehicle, network_code, version, effective_from, terms, created_at, created_by"
# Serves no index: versions of a scope are made one after the other.
_LOCK_SCOPE = (
    "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(chr(10), 'rate card', $1::text, $2::text, $3::text), 0))"
)
# Served by rate_cards_city_code_vehicle_network_code_version_key.
_LAST_VERSION = """
SELECT max(version) FROM reconciliation.rate_cards WHERE city_code = $1 AND vehicle = $2 AND network_code = $3
"""
# Served by rate_cards_city_code_vehicle_network_code_effective_from_key.
_AT = f"""
SELECT {_COLUMNS} FROM reconciliation.rate_cards
WHERE city_code = $1 AND vehicle = $2 AND network_code = $3 AND effective_from = $4
"""  # noqa: S608 - a constant
_INSERT = f"INSERT INTO reconciliation.rate_cards ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"  # noqa: S608 - a constant
# Served by rate_cards_city_code_vehicle_network_code_effective_from_key.
_IN_FORCE = """
SELECT s.place, c.* FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) WITH ORDINALITY
  AS s (city_code, vehicle, network_code, at, place)
CROSS JOIN LATERAL (
  SELECT id, city_code, vehicle, network_code, version, effective_from, terms, created_at, created_by
  FROM reconciliation.rate_cards
  WHERE city_code = s.city_code AND vehicle = s.vehicle AND network_code = s.network_code AND effective_from <= s.at
  ORDER BY effective_from DESC LIMIT 1
) c
"""
# Served by rate_cards_pkey.
_GET = f"SELECT {_COLUMNS} FROM reconciliation.rate_cards WHERE id = $1"  # noqa: S608 - a constant
# Served by rate_cards_pkey, whose order is the list's; there are some hundreds.
_LIST = f"""
SELECT {_COLUMNS} FROM reconciliation.rate_cards
WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AND ($2 = '' OR city_code = $2)
ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - a constant


async def lock_scope(connection: asyncpg.Connection, scope: Scope) -> None:
    """Have others who make a version of this scope wait for the end of this transaction."""
    await connection.execute(_LOCK_SCOPE, scope.city_code, scope.vehicle, scope.network_code)


async def last_version(connection: asyncpg.Connection, scope: Scope) -> int:
    """Return the number of the scope's last version, 0 for none."""
    return await connection.fetchval(_LAST_VERSION, scope.city_code, scope.vehicle, scope.network_code) or 0


async def at(connection: asyncpg.Connection, scope: Scope, effective_from: datetime) -> RateCard | None:
    """Return the scope's version that begins at a moment."""
    row = await connection.fetchrow(_AT, scope.city_code, scope.vehicle, scope.network_code, effective_from)
    return _card_from(row) if row else None


async def create(connection: asyncpg.Connection, card: RateCard) -> None:
    """Store a version."""
    scope, terms = card.scope, json.dumps(terms_to_json(card.terms))
    await connection.execute(
        _INSERT, card.id, scope.city_code, scope.vehicle, scope.network_code, card.version, card.effective_from, terms,
        card.created_at, card.created_by,
    )  # fmt: skip


async def in_force(
    connection: asyncpg.Connection, moments: Sequence[tuple[Scope, datetime]]
) -> dict[tuple[Scope, datetime], RateCard]:
    """Return the version in force for each scope and moment that has one."""
    scopes = [scope for scope, _ in moments]
    rows = await connection.fetch(
        _IN_FORCE,
        [scope.city_code for scope in scopes],
        [scope.vehicle for scope in scopes],
        [scope.network_code for scope in scopes],
        [moment for _, moment in moments],
    )
    return {moments[row["place"] - 1]: _card_from(row) for row in rows}


async def get(connection: asyncpg.Connection, card_id: UUID) -> RateCard | None:
    """Return one version, or None."""
    row = await connection.fetchrow(_GET, card_id)
    return _card_from(row) if row else None


async def search(
    connection: asyncpg.Connection, before_id: UUID | None, city_code: str, rows_max: int
) -> list[RateCard]:
    """Return versions, the youngest first; of one city, or of all for an empty code."""
    return [_card_from(row) for row in await connection.fetch(_LIST, before_id, city_code, rows_max)]


def _card_from(row: asyncpg.Record) -> RateCard:
    return RateCard(
        id=row["id"],
        scope=Scope(row["city_code"], row["vehicle"], row["network_code"]),
        version=row["version"],
        effective_from=row["effective_from"],
        terms=terms_from_json(json.loads(row["terms"])),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
