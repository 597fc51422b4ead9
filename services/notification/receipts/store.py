"""Receipts that were taken, in PostgreSQL: every statement of this noun."""

from datetime import datetime

import asyncpg

from services.notification.providers.outgoing import Receipt

# Served by receipts_pkey.
_TAKE = """
INSERT INTO notification.receipts (digest, received_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING digest
"""
# Served by address_news_pkey. These are few, carry no time, and are never forgotten.
_TAKE_NEWS = """
INSERT INTO notification.address_news (digest, received_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING digest
"""
# Served by receipts_by_age.
_FORGET = """
DELETE FROM notification.receipts WHERE digest = ANY (ARRAY(
  SELECT digest FROM notification.receipts WHERE received_at < $1 ORDER BY received_at LIMIT $2))
"""
# Served by attempts_pkey, then by messages_pkey and addresses_pkey. Where it went, not where its recipient is now:
# that is but the next best, for attempts from before addresses were kept with them.
_ADDRESSES_BY_ATTEMPT = """
SELECT DISTINCT a.channel, coalesce(a.address_sealed, d.address_sealed) AS address_sealed FROM notification.attempts a
JOIN notification.messages m ON m.id = a.message_id
LEFT JOIN notification.addresses d ON d.recipient_id = m.recipient_id AND d.channel = m.channel
WHERE a.provider = $1 AND a.id = $2
"""
# Served by attempts_by_provider_id, then by messages_pkey and addresses_pkey.
_ADDRESSES_BY_PROVIDER_ID = """
SELECT DISTINCT a.channel, coalesce(a.address_sealed, d.address_sealed) AS address_sealed FROM notification.attempts a
JOIN notification.messages m ON m.id = a.message_id
LEFT JOIN notification.addresses d ON d.recipient_id = m.recipient_id AND d.channel = m.channel
WHERE a.provider = $1 AND a.provider_message_id = $2
"""


async def take(connection: asyncpg.Connection, digest: bytes, now: datetime) -> bool:
    """Remember a receipt by its digest; whether it comes for the first time."""
    return await connection.fetchval(_TAKE, digest, now) is not None


async def take_news(connection: asyncpg.Connection, digest: bytes, now: datetime) -> bool:
    """Remember for good what a recipient has told a provider, by its digest; whether it comes for the first time."""
    return await connection.fetchval(_TAKE_NEWS, digest, now) is not None


async def forget(connection: asyncpg.Connection, before: datetime, rows_max: int) -> None:
    """Forget receipts from before a time."""
    await connection.execute(_FORGET, before, rows_max)


async def addresses_of(connection: asyncpg.Connection, provider: str, receipt: Receipt) -> list[tuple[str, bytes]]:
    """Return the channel and address, as it is kept, that a receipt speaks of."""
    statement = _ADDRESSES_BY_ATTEMPT if receipt.attempt_id else _ADDRESSES_BY_PROVIDER_ID
    rows = await connection.fetch(statement, provider, receipt.attempt_id or receipt.provider_message_id)
    return [(row["channel"], row["address_sealed"]) for row in rows if row["address_sealed"] is not None]
