"""Merchants in PostgreSQL: every statement of this noun. Its policies hide other merchants from a merchant."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.postgres.log_messages import emit
from services.assignment.errors import ReferenceTakenError, VersionConflictError
from services.assignment.events import LOG_PREFIX
from services.assignment.merchants.merchant import Merchant, MerchantPartners

# Served by merchants_reference_key.
_INSERT = """
INSERT INTO assignment.merchants (id, name, reference, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (reference) DO NOTHING RETURNING id
"""
# Served by merchants_reference_key.
_HOLDER = "SELECT id FROM assignment.merchants WHERE reference = $1"
# Served by merchants_pkey.
_GET = "SELECT id, name, reference, created_at FROM assignment.merchants WHERE id = $1"
# Served by merchants_pkey, whose order is that of creation.
_LIST = "SELECT id, name, reference, created_at FROM assignment.merchants WHERE id > $1 ORDER BY id LIMIT $2"
# Served by merchants_reference_key.
_FIND = "SELECT id, name, reference, created_at FROM assignment.merchants WHERE reference = $1 AND id > $2"
# Served by merchant_partners_pkey.
_GET_PARTNERS = """
SELECT merchant_id, allowed, denied, version, updated_at FROM assignment.merchant_partners WHERE merchant_id = $1
"""
# Served by merchant_partners_pkey.
_SET_PARTNERS = """
INSERT INTO assignment.merchant_partners AS p (merchant_id, allowed, denied, version, updated_at)
SELECT $1, $2::uuid[], $3::uuid[], 1, $4 WHERE coalesce($5::bigint, 0) = 0 OR EXISTS (
  SELECT FROM assignment.merchant_partners WHERE merchant_id = $1)
ON CONFLICT (merchant_id) DO UPDATE SET allowed = excluded.allowed, denied = excluded.denied, version = p.version + 1,
  updated_at = excluded.updated_at
WHERE $5::bigint IS NULL OR p.version = $5
RETURNING merchant_id, allowed, denied, version, updated_at
"""
# Served by merchant_partners_pkey.
_PARTNERS_OF = """
SELECT merchant_id, allowed, denied, version, updated_at FROM assignment.merchant_partners
WHERE merchant_id = ANY ($1::uuid[])
"""
# Served by partners_pkey.
_PARTNERS = "SELECT id FROM assignment.partners WHERE id = ANY ($1::uuid[])"
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
    if reference:
        rows = await connection.fetch(_FIND, reference, after_id or _LOWEST)
    else:
        rows = await connection.fetch(_LIST, after_id or _LOWEST, rows_max)
    return [Merchant(**row) for row in rows]


async def get_partners(connection: asyncpg.Connection, merchant_id: UUID) -> MerchantPartners | None:
    """Return a merchant's lists of partners, or None for a merchant that the transaction may not see."""
    row = await connection.fetchrow(_GET_PARTNERS, merchant_id)
    if row is not None:
        return _partners_from(row)
    return MerchantPartners(merchant_id) if await get(connection, merchant_id) else None


async def partners_of(connection: asyncpg.Connection, merchant_ids: Collection[UUID]) -> list[MerchantPartners]:
    """Return the lists of those of the merchants that have any."""
    return [_partners_from(row) for row in await connection.fetch(_PARTNERS_OF, list(merchant_ids))]


async def set_partners(
    connection: asyncpg.Connection, lists: MerchantPartners, expected_version: int | None, now: datetime
) -> MerchantPartners:
    """Replace a merchant's lists as their next version; VersionConflictError for another one than expected."""
    values = (lists.merchant_id, lists.allowed, lists.denied, now, expected_version)
    row = await connection.fetchrow(_SET_PARTNERS, *values)
    if row is None:
        raise VersionConflictError(f"the lists of merchant {lists.merchant_id} are not at version {expected_version}")
    return _partners_from(row)


async def existing_partners(connection: asyncpg.Connection, partner_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the partners that there are."""
    return {row["id"] for row in await connection.fetch(_PARTNERS, list(partner_ids))}


async def tell(connection: asyncpg.Connection, event: str) -> None:
    """Publish the event of what was stored, in its transaction."""
    await emit(connection, LOG_PREFIX, [event])


def _partners_from(row: asyncpg.Record) -> MerchantPartners:
    allowed, denied = tuple(row["allowed"]), tuple(row["denied"])
    return MerchantPartners(row["merchant_id"], allowed, denied, row["version"], row["updated_at"])
