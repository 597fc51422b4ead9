"""Messages as people ask for them, in PostgreSQL: every statement of this noun."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notification.messages.lifecycle import MessageState, Mover, sources_of

_COLUMNS = """m.id, m.merchant_id, m.delivery_id, m.recipient_id, m.audience, m.channel, m.status, m.state, m.language,
  m.planned_at, m.send_after, m.attempts, m.provider, m.reason, m.updated_at, a.address_sealed"""
_FROM = """FROM notification.messages m
LEFT JOIN notification.addresses a ON a.recipient_id = m.recipient_id AND a.channel = m.channel"""
# Served by messages_by_delivery.
_OF_DELIVERY = f"SELECT {_COLUMNS} {_FROM} WHERE m.delivery_id = $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3"
# Served by messages_by_recipient.
_OF_RECIPIENT = f"SELECT {_COLUMNS} {_FROM} WHERE m.recipient_id = $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3"
# Served by messages_pkey.
_GET = f"SELECT {_COLUMNS} {_FROM} WHERE m.id = $1"
# Served by messages_pkey and suppression_by_address.
_LOCK = f"""
SELECT {_COLUMNS}, coalesce(s.reason, '') AS suppressed_reason {_FROM}
LEFT JOIN notification.suppressions s ON s.channel = a.channel AND s.address_hash = a.address_hash
WHERE m.id = $1 FOR UPDATE OF m
"""
# Served by attempts_by_message.
_ATTEMPTS = """
SELECT * FROM (
SELECT id, provider, coalesce(provider_message_id, '') AS provider_message_id, state, started_at, ended_at, error,
  requested_by, content_sealed
FROM notification.attempts WHERE message_id = $1 ORDER BY id DESC LIMIT $2
) AS newest ORDER BY id
"""
# Served by messages_pkey. Who asks again wants it now, by itself, and from whoever can.
_RESEND = """
UPDATE notification.messages SET state = 'planned', reason = '', send_after = $2, expires_at = $3, requested_by = $4,
  digestible = false, refused_by = '{}', rounds = 0, updated_at = $2
WHERE id = $1 AND state = ANY ($5::text[]) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is kept."""

    id: UUID
    merchant_id: UUID | None
    delivery_id: UUID
    recipient_id: UUID
    audience: str
    channel: str
    status: str
    state: str
    language: str
    planned_at: datetime
    send_after: datetime
    attempts: int
    provider: str
    reason: str
    updated_at: datetime
    address_sealed: bytes | None = field(repr=False)
    # Only where it was asked for.
    suppressed_reason: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to send a message, as it is kept."""

    id: UUID
    provider: str
    provider_message_id: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    error: str
    requested_by: str
    content_sealed: bytes = field(repr=False)


async def of_delivery(
    connection: asyncpg.Connection, delivery_id: UUID, before_id: UUID, rows_max: int
) -> list[Message]:
    """Return a delivery's messages, newest first."""
    return [Message(**row) for row in await connection.fetch(_OF_DELIVERY, delivery_id, before_id, rows_max)]


async def of_recipient(
    connection: asyncpg.Connection, recipient_id: UUID, before_id: UUID, rows_max: int
) -> list[Message]:
    """Return a recipient's messages, newest first."""
    return [Message(**row) for row in await connection.fetch(_OF_RECIPIENT, recipient_id, before_id, rows_max)]


async def get(connection: asyncpg.Connection, message_id: UUID) -> Message | None:
    """Return a message, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, message_id)
    return Message(**row) if row else None


async def lock(connection: asyncpg.Connection, message_id: UUID) -> Message | None:
    """Return a message that stays as it is until the transaction ends, with why its address takes none."""
    row = await connection.fetchrow(_LOCK, message_id)
    return Message(**row) if row else None


async def attempts_of(connection: asyncpg.Connection, message_id: UUID, rows_max: int) -> list[Attempt]:
    """Return the newest attempts to send a message, the oldest of them first."""
    return [Attempt(**row) for row in await connection.fetch(_ATTEMPTS, message_id, rows_max)]


async def resend(
    connection: asyncpg.Connection, message_id: UUID, now: datetime, expires_at: datetime, requested_by: str
) -> bool:
    """Plan a message again for whoever asks; whether the lifecycle let it."""
    states = sources_of(MessageState.PLANNED, Mover.PERSON)
    return await connection.fetchval(_RESEND, message_id, now, expires_at, requested_by, states) is not None
