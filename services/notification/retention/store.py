"""Forgetting in PostgreSQL: every statement of this noun. Each looks at so many rows, in the order of their ids.

Ids begin with the time at which they were made: what is below an id is older.
"""

from datetime import datetime
from uuid import UUID

import asyncpg

# Serves no index: a lock of the transaction. Of several processes one forgets.
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('notification.retention'))"
# Served by messages_pkey, then by attempts_by_message. What was sent again lately stays, and what is still to be sent.
_MESSAGES = """
WITH looked_at AS (
  SELECT id, state, updated_at, expires_at FROM notification.messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT $4
), old AS (
  SELECT m.id FROM notification.messages m JOIN looked_at l ON l.id = m.id
  WHERE m.updated_at < $3 AND m.state <> 'sending' AND (m.state <> 'planned' OR m.expires_at < $3)
  FOR UPDATE OF m SKIP LOCKED
), attempted AS (
  DELETE FROM notification.attempts a USING old WHERE a.message_id = old.id
), gone AS (
  DELETE FROM notification.messages m USING old WHERE m.id = old.id RETURNING m.id
)
SELECT (SELECT max(id::text) FROM looked_at)::uuid AS last_id, (SELECT count(*) FROM gone) AS forgotten
"""
# Served by deliveries_pkey and messages_by_delivery.
_DELIVERIES = """
WITH looked_at AS (
  SELECT id FROM notification.deliveries WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3
), gone AS (
  DELETE FROM notification.deliveries d USING looked_at l
  WHERE d.id = l.id AND NOT EXISTS (SELECT FROM notification.messages m WHERE m.delivery_id = l.id) RETURNING d.id
)
SELECT (SELECT max(id::text) FROM looked_at)::uuid AS last_id, (SELECT count(*) FROM gone) AS forgotten
"""
# Served by recipients_pkey, messages_by_recipient, deliveries_by_customer and addresses_pkey. Whoever suppressed an
# address stays suppressed: that is kept by the address's hash.
_CUSTOMERS = """
WITH looked_at AS (
  SELECT id FROM notification.recipients WHERE id > $1 AND id < $2 ORDER BY id LIMIT $4
), old AS (
  SELECT r.id FROM notification.recipients r JOIN looked_at l ON l.id = r.id
  WHERE r.audience = 'customer' AND r.updated_at < $3
    AND NOT EXISTS (SELECT FROM notification.messages m WHERE m.recipient_id = r.id)
    AND NOT EXISTS (SELECT FROM notification.deliveries d WHERE d.customer_id = r.id)
  FOR UPDATE OF r SKIP LOCKED
), reached AS (
  DELETE FROM notification.addresses a USING old WHERE a.recipient_id = old.id
), gone AS (
  DELETE FROM notification.recipients r USING old WHERE r.id = old.id RETURNING r.id
)
SELECT (SELECT max(id::text) FROM looked_at)::uuid AS last_id, (SELECT count(*) FROM gone) AS forgotten
"""
# Served by inbox_by_age.
_INBOX = """
WITH gone AS (
  DELETE FROM notification.inbox WHERE id = ANY (ARRAY(
    SELECT id FROM notification.inbox WHERE received_at < $1 ORDER BY received_at LIMIT $2)) RETURNING id
)
SELECT count(*) FROM gone
"""


async def alone(connection: asyncpg.Connection) -> bool:
    """Whether nobody else forgets until the transaction ends."""
    return bool(await connection.fetchval(_ALONE))


async def forget_messages(
    connection: asyncpg.Connection, after_id: UUID, below_id: UUID, before: datetime, rows_max: int
) -> tuple[UUID | None, int]:
    """Forget messages and their attempts; return the last one looked at, None at the end, and how many are gone."""
    return _looked(await connection.fetchrow(_MESSAGES, after_id, below_id, before, rows_max))


async def forget_deliveries(
    connection: asyncpg.Connection, after_id: UUID, below_id: UUID, before: datetime, rows_max: int
) -> tuple[UUID | None, int]:
    """Forget deliveries that no message tells of; return as `forget_messages` does. `before` says nothing more."""
    return _looked(await connection.fetchrow(_DELIVERIES, after_id, below_id, rows_max))


async def forget_customers(
    connection: asyncpg.Connection, after_id: UUID, below_id: UUID, before: datetime, rows_max: int
) -> tuple[UUID | None, int]:
    """Forget customers of whom nothing else is kept, and their addresses; return as `forget_messages` does."""
    return _looked(await connection.fetchrow(_CUSTOMERS, after_id, below_id, before, rows_max))


async def forget_inbox(connection: asyncpg.Connection, before: datetime, rows_max: int) -> int:
    """Forget what the local inbox has got before a time; return how much."""
    return int(await connection.fetchval(_INBOX, before, rows_max))


def _looked(row: asyncpg.Record) -> tuple[UUID | None, int]:
    return row["last_id"], int(row["forgotten"])
