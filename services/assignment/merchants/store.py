"""Merchants in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True)
class Merchant:
    """A tenant."""

    id: UUID
    name: str
    reference: str
    created_at: datetime


_INSERT = """
INSERT INTO assignment.merchants (id, name, reference, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING id
"""
# Served by merchants_reference_key.
_HOLDER = "SELECT id FROM assignment.merchants WHERE reference = $1"
# Served by merchants_pkey.
_GET = "SELECT id, name, reference, created_at FROM assignment.merchants WHERE id = $1"
# Served by merchants_pkey, or merchants_reference_key where a reference is given.
_LIST = """
SELECT id, name, reference, created_at FROM assignment.merchants
WHERE id > $1 AND ($2::text = '' OR reference = $2) ORDER BY id LIMIT $3
"""


async def create(connection: asyncpg.Connection, merchant: Merchant) -> UUID | None:
    """Store a merchant; return None, or the id of the merchant that holds its reference."""
    values = (merchant.id, merchant.name, merchant.reference, merchant.created_at)
    if await connection.fetchval(_INSERT, *values) is not None:
        return None
    holder: UUID = await connection.fetchval(_HOLDER, merchant.reference)
    return holder


async def get(connection: asyncpg.Connection, merchant_id: UUID) -> Merchant | None:
    """Return a merchant, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, merchant_id)
    return Merchant(**row) if row else None


async def search(
    connection: asyncpg.Connection, after_id: UUID | None, reference: str, rows_max: int
) -> list[Merchant]:
    """Return merchants, oldest first, after `after_id`; only the one with `reference` unless it is empty."""
    rows = await connection.fetch(_LIST, after_id or UUID(int=0), reference, rows_max)
    return [Merchant(**row) for row in rows]
