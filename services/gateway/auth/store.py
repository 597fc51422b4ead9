"""API keys in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.grpc_server.identity import Role
from libs.postgres.tenancy import Visibility

_COLUMNS = "id, name, role, merchant_id, partner_id, created_at, expires_at, revoked_at"
_INSERT = f"""
INSERT INTO gateway.api_keys (key_sha256, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (key_sha256) DO NOTHING
"""  # noqa: S608 - constants
# Served by api_keys_key_sha256_key.
_FIND = f"SELECT {_COLUMNS} FROM gateway.api_keys WHERE key_sha256 = $1"  # noqa: S608 - constants
# Served by api_keys_pkey.
_LIST = f"SELECT {_COLUMNS} FROM gateway.api_keys WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608 - constants
# Served by api_keys_pkey.
_REVOKE = f"""
UPDATE gateway.api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608 - constants
# Every key is for every reader: its login role alone limits a query.
READER = Visibility("none")
_ID_MAX = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key."""

    id: UUID
    name: str
    role: Role
    merchant_id: UUID | None
    partner_id: UUID | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


async def create(pool: asyncpg.Pool, key_sha256: bytes, api_key: ApiKey) -> None:
    """Store a key; one that is stored already stays as it is."""
    values = (getattr(api_key, name.strip()) for name in _COLUMNS.split(","))
    await pool.execute(_INSERT, key_sha256, *values)


async def find(connection: asyncpg.Connection, key_sha256: bytes) -> ApiKey | None:
    """Return the key with this hash, or None."""
    row = await connection.fetchrow(_FIND, key_sha256)
    return _api_key_from(row) if row else None


async def search(connection: asyncpg.Connection, before_id: UUID | None, rows_max: int) -> list[ApiKey]:
    """Return keys, newest first, before `before_id`."""
    return [_api_key_from(row) for row in await connection.fetch(_LIST, before_id or _ID_MAX, rows_max)]


async def revoke(pool: asyncpg.Pool, api_key_id: UUID, now: datetime) -> ApiKey | None:
    """End a key; one that has ended keeps its time. Return it, or None when there is none."""
    row = await pool.fetchrow(_REVOKE, api_key_id, now)
    return _api_key_from(row) if row else None


def _api_key_from(row: asyncpg.Record) -> ApiKey:
    return ApiKey(**{**row, "role": Role(row["role"])})
