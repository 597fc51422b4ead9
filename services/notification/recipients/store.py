"""Recipients, their addresses and suppressions in PostgreSQL: every statement of this noun."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.notification.errors import VersionConflictError
from services.notification.recipients.recipient import KeptAddress, Preferences, Recipient, Suppression

_COLUMNS = """id, audience, merchant_id, owner_id, name_sealed, language, time_zone, quiet_from_min, quiet_until_min,
  opted_out, muted_statuses, version, created_at, updated_at"""
# Served by recipients_pkey.
_GET = f"SELECT {_COLUMNS} FROM notification.recipients WHERE id = $1"  # noqa: S608 - our own text
# Served by addresses_pkey and suppression_by_address.
_ADDRESSES = """
SELECT a.channel, a.address_sealed, coalesce(s.reason, '') AS suppressed_reason FROM notification.addresses a
LEFT JOIN notification.suppressions s ON s.channel = a.channel AND s.address_hash = a.address_hash
WHERE a.recipient_id = $1 ORDER BY a.channel
"""
# Served by recipient_by_owner and addresses_pkey.
_ADDRESSES_OF_OWNER = """
SELECT a.channel, a.address_sealed, '' AS suppressed_reason FROM notification.recipients r
JOIN notification.addresses a ON a.recipient_id = r.id WHERE r.audience = $1 AND r.owner_id = $2
"""
# Served by recipient_by_owner.
_SET_OWNER = f"""
INSERT INTO notification.recipients AS r ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{{}}', '{{}}', 1, $10, $10)
ON CONFLICT (audience, owner_id) DO UPDATE SET updated_at = excluded.updated_at,
  name_sealed = CASE WHEN $11::boolean THEN excluded.name_sealed ELSE r.name_sealed END
RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by addresses_pkey.
_SET_ADDRESSES = """
INSERT INTO notification.addresses AS a (recipient_id, channel, merchant_id, address_sealed, address_hash)
SELECT $1, n.channel, $2, n.sealed, n.hashed
FROM unnest($3::text[], $4::bytea[], $5::bytea[]) AS n (channel, sealed, hashed)
ON CONFLICT (recipient_id, channel) DO UPDATE SET address_sealed = excluded.address_sealed,
  address_hash = excluded.address_hash
"""
# Served by addresses_pkey.
_DROP_ADDRESSES = "DELETE FROM notification.addresses WHERE recipient_id = $1 AND channel = ANY ($2::text[])"
# Served by recipients_pkey.
_SET_PREFERENCES = f"""
UPDATE notification.recipients SET language = $2, time_zone = $3, quiet_from_min = $4, quiet_until_min = $5,
  opted_out = $6, muted_statuses = $7, version = version + 1, updated_at = $8
WHERE id = $1 AND ($9::bigint IS NULL OR version = $9) RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text
# Served by suppression_by_address. Each reason counts: who says stop is heard although the address bounces.
_SUPPRESS = """
INSERT INTO notification.suppressions AS s (id, channel, address_hash, address_sealed, reason, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (channel, address_hash) DO UPDATE SET also = array_append(s.also, excluded.reason)
WHERE s.reason <> excluded.reason AND excluded.reason <> ALL (s.also) RETURNING id
"""
# Served by suppression_by_address.
_FIND_SUPPRESSION = """
SELECT id, channel, address_sealed, reason, created_at FROM notification.suppressions
WHERE channel = $1 AND address_hash = $2
"""
# Served by suppressions_pkey, whose order is that of creation.
_SUPPRESSIONS = """
SELECT id, channel, address_sealed, reason, created_at FROM notification.suppressions WHERE id < $1
ORDER BY id DESC LIMIT $2
"""
# Served by suppressions_pkey. What is left has another id: whoever asks twice lifts one reason.
_LIFT = """
UPDATE notification.suppressions SET id = $2, reason = coalesce(also[1], ''), also = also[2:] WHERE id = $1 RETURNING id
"""
# Served by suppression_by_address.
_LIFT_REASON = """
UPDATE notification.suppressions SET id = CASE WHEN reason = $3 THEN $4 ELSE id END,
  reason = CASE WHEN reason = $3 THEN coalesce(also[1], '') ELSE reason END,
  also = CASE WHEN reason = $3 THEN also[2:] ELSE array_remove(also, $3) END
WHERE channel = $1 AND address_hash = $2 AND (reason = $3 OR $3 = ANY (also)) RETURNING id
"""
# Served by suppressions_pkey.
_FORGET_LIFTED = "DELETE FROM notification.suppressions WHERE id = $1 AND reason = ''"


async def get(connection: asyncpg.Connection, recipient_id: UUID) -> Recipient | None:
    """Return a recipient, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, recipient_id)
    return _recipient(row) if row else None


async def addresses_of(connection: asyncpg.Connection, recipient_id: UUID) -> list[KeptAddress]:
    """Return a recipient's addresses."""
    return [KeptAddress(**row) for row in await connection.fetch(_ADDRESSES, recipient_id)]


async def addresses_of_owner(connection: asyncpg.Connection, audience: str, owner_id: UUID) -> list[KeptAddress]:
    """Return the addresses of a merchant or partner."""
    return [KeptAddress(**row) for row in await connection.fetch(_ADDRESSES_OF_OWNER, audience, owner_id)]


async def set_owner(
    connection: asyncpg.Connection,
    made: Recipient,
    addresses: Mapping[str, tuple[bytes, bytes] | None],
    *,
    with_name: bool = True,
) -> Recipient:
    """Store how an owner is reached, and return it as it is kept; its preferences stay, its name unless `with_name`.

    None is no such address.
    """
    p = made.preferences
    row = await connection.fetchrow(
        _SET_OWNER, made.id, made.audience, made.merchant_id, made.owner_id, made.name_sealed, p.language, p.time_zone,
        p.quiet_from_min, p.quiet_until_min, made.created_at, with_name,
    )  # fmt: skip
    recipient = _recipient(row)
    given = sorted((channel, *kept) for channel, kept in addresses.items() if kept is not None)
    if given:
        columns = map(list, zip(*given, strict=True))
        await connection.execute(_SET_ADDRESSES, recipient.id, recipient.merchant_id, *columns)
    if dropped := [channel for channel, kept in addresses.items() if kept is None]:
        await connection.execute(_DROP_ADDRESSES, recipient.id, dropped)
    return recipient


async def set_preferences(
    connection: asyncpg.Connection, recipient_id: UUID, wanted: Preferences, expected_version: int | None, now: datetime
) -> Recipient | None:
    """Replace preferences; None for a recipient that the transaction may not see. Raises VersionConflictError."""
    row = await connection.fetchrow(
        _SET_PREFERENCES, recipient_id, wanted.language, wanted.time_zone, wanted.quiet_from_min,
        wanted.quiet_until_min, list(wanted.opted_out), list(wanted.muted_statuses), now, expected_version,
    )  # fmt: skip
    if row is None and await get(connection, recipient_id) is not None:
        raise VersionConflictError(f"recipient {recipient_id} is not at version {expected_version}")
    return _recipient(row) if row else None


async def suppress(
    connection: asyncpg.Connection,
    suppression_id: UUID,
    channel: str,
    sealed: bytes,
    hashed: bytes,
    reason: str,
    now: datetime,
) -> bool:
    """Store why nothing is sent to an address; whether that was no reason yet."""
    return await connection.fetchval(_SUPPRESS, suppression_id, channel, hashed, sealed, reason, now) is not None


async def find_suppression(connection: asyncpg.Connection, channel: str, hashed: bytes) -> Suppression | None:
    """Return the suppression of an address, if there is any."""
    row = await connection.fetchrow(_FIND_SUPPRESSION, channel, hashed)
    return Suppression(**row) if row else None


async def suppressions(connection: asyncpg.Connection, before_id: UUID, rows_max: int) -> list[Suppression]:
    """Return suppressions, newest first."""
    return [Suppression(**row) for row in await connection.fetch(_SUPPRESSIONS, before_id, rows_max)]


async def lift(connection: asyncpg.Connection, suppression_id: UUID) -> bool:
    """Lift a suppression, in a transaction; whether there was one. What the address is suppressed for besides stays."""
    return await _forgotten(connection, await connection.fetchval(_LIFT, suppression_id, new_id()))


async def lift_reason(connection: asyncpg.Connection, channel: str, hashed: bytes, reason: str) -> None:
    """Have an address be suppressed for this reason no more, in a transaction."""
    await _forgotten(connection, await connection.fetchval(_LIFT_REASON, channel, hashed, reason, new_id()))


async def _forgotten(connection: asyncpg.Connection, lifted_id: UUID | None) -> bool:
    if lifted_id is not None:
        await connection.execute(_FORGET_LIFTED, lifted_id)
    return lifted_id is not None


def _recipient(row: asyncpg.Record) -> Recipient:
    preferences = Preferences(
        row["language"], row["time_zone"], row["quiet_from_min"], row["quiet_until_min"], tuple(row["opted_out"]),
        tuple(row["muted_statuses"]),
    )  # fmt: skip
    return Recipient(
        row["id"], row["audience"], row["merchant_id"], row["owner_id"], row["name_sealed"], preferences,
        row["version"], row["created_at"], row["updated_at"],
    )  # fmt: skip
