"""Merchants' webhooks in PostgreSQL: every statement of this noun. Their URLs are addresses of the merchants."""

from datetime import datetime
from uuid import UUID

import asyncpg

from services.notification.webhooks.webhook import Webhook

_COLUMNS = "merchant_id, secret_sealed, previous_sealed, previous_until, failures, disabled_at, updated_at"
# Served by webhooks_pkey. A secret that there is stays.
_SET = f"""
INSERT INTO notification.webhooks AS w ({_COLUMNS}) VALUES ($1, $2, NULL, NULL, 0, NULL, $3)
ON CONFLICT (merchant_id) DO UPDATE SET failures = 0, disabled_at = NULL, updated_at = excluded.updated_at
RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by webhooks_pkey.
_GET = f"SELECT {_COLUMNS} FROM notification.webhooks WHERE merchant_id = $1"  # noqa: S608 - as above
# Served by webhooks_pkey.
_ROTATE = f"""
UPDATE notification.webhooks SET previous_sealed = secret_sealed, previous_until = $4, secret_sealed = $2,
  updated_at = $3
WHERE merchant_id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608 - as above
# Served by webhooks_pkey.
_DELETE = "DELETE FROM notification.webhooks WHERE merchant_id = $1 RETURNING merchant_id"
# Served by webhooks_pkey.
_TAKEN = "UPDATE notification.webhooks SET failures = 0 WHERE merchant_id = $1 AND failures > 0"
# Served by webhooks_pkey. Whoever disables it gets it back, and tells its owner.
_FAILED = """
WITH before AS (SELECT merchant_id, disabled_at FROM notification.webhooks WHERE merchant_id = $1 FOR UPDATE)
UPDATE notification.webhooks w SET failures = w.failures + 1,
  disabled_at = CASE WHEN w.failures + 1 >= $2 THEN coalesce(w.disabled_at, $3) ELSE w.disabled_at END
FROM before WHERE w.merchant_id = before.merchant_id
RETURNING before.disabled_at IS NULL AND w.disabled_at IS NOT NULL AS is_disabled_now
"""


async def set_webhook(connection: asyncpg.Connection, merchant_id: UUID, fresh: bytes, now: datetime) -> Webhook:
    """Enable a merchant's webhook, with the secret that it has, or else `fresh`."""
    return Webhook(**await connection.fetchrow(_SET, merchant_id, fresh, now))


async def get(connection: asyncpg.Connection, merchant_id: UUID) -> Webhook | None:
    """Return a merchant's webhook, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, merchant_id)
    return Webhook(**row) if row else None


async def rotate(
    connection: asyncpg.Connection, merchant_id: UUID, fresh: bytes, now: datetime, previous_until: datetime
) -> Webhook | None:
    """Replace a secret, and keep the one before for a while."""
    row = await connection.fetchrow(_ROTATE, merchant_id, fresh, now, previous_until)
    return Webhook(**row) if row else None


async def delete(connection: asyncpg.Connection, merchant_id: UUID) -> bool:
    """Forget a webhook; whether there was one."""
    return await connection.fetchval(_DELETE, merchant_id) is not None


async def taken(connection: asyncpg.Connection, merchant_id: UUID) -> None:
    """Note that a receiver works."""
    await connection.execute(_TAKEN, merchant_id)


async def failed(connection: asyncpg.Connection, merchant_id: UUID, failures_max: int, now: datetime) -> bool:
    """Note that a message failed for good; whether that has disabled the webhook now."""
    return bool(await connection.fetchval(_FAILED, merchant_id, failures_max, now))
