"""Receipts that were taken, in PostgreSQL: every statement of this noun."""

from datetime import datetime
from uuid import UUID

import asyncpg

# Served by receipts_pkey.
_TAKE = """
INSERT INTO notification.receipts (digest, received_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING digest
"""
# Served by receipts_by_age.
_FORGET = """
DELETE FROM notification.receipts WHERE digest = ANY (ARRAY(
  SELECT digest FROM notification.receipts WHERE received_at < $1 ORDER BY received_at LIMIT $2))
"""
# Served by addresses_pkey.
_ADDRESS = "SELECT address_sealed FROM notification.addresses WHERE recipient_id = $1 AND channel = $2"


async def take(connection: asyncpg.Connection, digest: bytes, now: datetime) -> bool:
    """Remember a receipt by its digest; whether it comes for the first time."""
    return await connection.fetchval(_TAKE, digest, now) is not None


async def forget(connection: asyncpg.Connection, before: datetime, rows_max: int) -> None:
    """Forget receipts from before a time."""
    await connection.execute(_FORGET, before, rows_max)


async def address_of(connection: asyncpg.Connection, recipient_id: UUID, channel: str) -> bytes | None:
    """Return a recipient's address as it is kept."""
    sealed: bytes | None = await connection.fetchval(_ADDRESS, recipient_id, channel)
    return sealed
