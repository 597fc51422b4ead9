"""The local inbox in PostgreSQL: every statement of this noun."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

# Served by inbox_pkey.
_KEEP = """
INSERT INTO notification.inbox (id, merchant_id, channel, address_sealed, content_sealed, received_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING
"""
# Served by inbox_pkey.
_IS_KEPT = "SELECT EXISTS (SELECT FROM notification.inbox WHERE id = $1)"
# Served by inbox_pkey for ops, by inbox_by_merchant for a merchant.
_LIST = """
SELECT id, merchant_id, channel, address_sealed, content_sealed, received_at FROM notification.inbox
WHERE id < $1 {filters} ORDER BY id DESC LIMIT $2
"""
_OF_MERCHANT = "AND merchant_id = $3"


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in the inbox."""

    id: UUID
    merchant_id: UUID | None
    channel: str
    address_sealed: bytes = field(repr=False)
    content_sealed: bytes = field(repr=False)
    received_at: datetime


async def keep(connection: asyncpg.Connection, kept: Kept) -> None:
    """Keep a message, once."""
    await connection.execute(
        _KEEP, kept.id, kept.merchant_id, kept.channel, kept.address_sealed, kept.content_sealed, kept.received_at
    )


async def is_kept(connection: asyncpg.Connection, attempt_id: UUID) -> bool:
    """Whether the attempt's message is there."""
    return bool(await connection.fetchval(_IS_KEPT, attempt_id))


async def search(
    connection: asyncpg.Connection, before_id: UUID, rows_max: int, merchant_id: UUID | None
) -> list[Kept]:
    """Return messages, newest first; only a merchant's unless it is None."""
    if merchant_id is None:
        return [Kept(**row) for row in await connection.fetch(_LIST.format(filters=""), before_id, rows_max)]
    rows = await connection.fetch(_LIST.format(filters=_OF_MERCHANT), before_id, rows_max, merchant_id)
    return [Kept(**row) for row in rows]
