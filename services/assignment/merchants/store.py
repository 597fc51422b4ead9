"""Merchants in PostgreSQL: every statement of this noun. Its policies hide other merchants from a merchant."""

from uuid import UUID

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.errors import ReferenceTakenError
from services.assignment.events import LOG_PREFIX
from services.assignment.merchants.merchant import Merchant

# Served by merchants_reference_key.
_INSERT = """
INSERT INTO assignment.merchants (id, name, reference, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (reference) DO NOTHING RETURNING id
"""
# Served by merchants_reference_key.
_HOLDER = "SELECT id FROM assignment.merchants WHERE reference = $1"
# Served by merchants_pkey.
_GET = "SELECT id, name, reference, created_at FROM assignment.merchants WHERE id = $1"
# Served by merchants_pkey, whose order is that of creation; by merchants_reference_key for a reference.
_LIST = """
SELECT id, name, reference, created_at FROM assignment.merchants
WHERE id > $1 AND ($3 = '' OR reference = $3) ORDER BY id LIMIT $2
"""
_LOWEST = UUID(int=0)


async def create(connection: asyncpg.Connection, merchant: Merchant, event: str) -> None:
    """Store a merchant with its event; ReferenceTakenError when another one has its reference."""
    values = (merchant.id, merchant.name, merchant.reference, merchant.created_at)
    if await connection.fetchval(_INSERT, *values) is None:
        holder = await connection.fetchval(_HOLDER, merchant.reference)
        raise ReferenceTakenError(
            f"another merchant has the reference {merchant.reference!r}", metadata={"merchant_id": str(holder)}
        )
    await emit(connection, LOG_PREFIX, [event])


async def get(connection: asyncpg.Connection, merchant_id: UUID) -> Merchant | None:
    """Return a merchant, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, merchant_id)
    return Merchant(**row) if row else None


async def search(
    connection: asyncpg.Connection, *, after_id: UUID | None, reference: str, rows_max: int
) -> list[Merchant]:
    """Return merchants after `after_id`, oldest first; only the one with `reference` unless it is empty."""
    rows = await connection.fetch(_LIST, after_id or _LOWEST, rows_max, reference)
    return [Merchant(**row) for row in rows]
