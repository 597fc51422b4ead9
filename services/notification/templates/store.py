"""Stored templates in PostgreSQL: every statement of this noun. Versions are added, and changed only to retire them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notification.errors import VersionConflictError
from services.notification.templates.book import COMPANY, StoredTemplate, owner_of
from services.notification.templates.builtin import Use

_COLUMNS = "id, merchant_id, status, audience, channel, language, version, subject, body, created_at, retired_at"
_OF_USE = """merchant_id = $1 AND status = $2 AND audience = $3 AND channel = $4 AND language = $5"""
# Serves no index: one writer of a use at a time.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
# Served by template_by_use.
_NEWEST = f"""
SELECT coalesce(max(version), 0) AS version, coalesce(max(version) FILTER (WHERE retired_at IS NULL), 0) AS in_use
FROM notification.templates WHERE {_OF_USE}
"""  # noqa: S608 - our own text
# Served by template_by_use.
_REPLACE = f"UPDATE notification.templates SET retired_at = $6 WHERE {_OF_USE} AND retired_at IS NULL"  # noqa: S608 - as above
_INSERT = f"""
INSERT INTO notification.templates ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)
"""  # noqa: S608 - as above
# Served by templates_pkey.
_GET = f"SELECT {_COLUMNS} FROM notification.templates WHERE id = $1"  # noqa: S608 - as above
# Served by templates_by_merchant.
_LIST = f"""
SELECT {_COLUMNS} FROM notification.templates WHERE merchant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - as above
# Served by templates_pkey.
_RETIRE = f"""
UPDATE notification.templates SET retired_at = coalesce(retired_at, $2) WHERE id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608 - as above
# Served by templates_in_use.
_IN_USE = f"""
SELECT {_COLUMNS} FROM notification.templates WHERE retired_at IS NULL AND id > $1 ORDER BY id LIMIT $2
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """A version of a template, and since when it is not used any more."""

    template: StoredTemplate
    created_at: datetime
    retired_at: datetime | None


async def save(connection: asyncpg.Connection, made: TemplateVersion, expected_version: int | None) -> TemplateVersion:
    """Store the next version of a template, which replaces the one in use. Raises VersionConflictError."""
    t = made.template
    use = (t.merchant_id or COMPANY, t.use.status, t.use.audience, t.use.channel, t.use.language)
    await connection.execute(_LOCK, f"template {use}")
    newest = await connection.fetchrow(_NEWEST, *use)
    if expected_version is not None and newest["in_use"] != expected_version:
        raise VersionConflictError(f"version {newest['in_use']} of the template is in use, not {expected_version}")
    await connection.execute(_REPLACE, *use, made.created_at)
    version = newest["version"] + 1
    await connection.execute(_INSERT, t.id, *use, version, t.subject, t.body, made.created_at)
    stored = StoredTemplate(t.id, t.merchant_id, t.use, version, t.subject, t.body)
    return TemplateVersion(stored, made.created_at, None)


async def get(connection: asyncpg.Connection, template_id: UUID) -> TemplateVersion | None:
    """Return a version, or None when there is none that the transaction may see."""
    row = await connection.fetchrow(_GET, template_id)
    return _version(row) if row else None


async def search(
    connection: asyncpg.Connection, merchant_id: UUID | None, before_id: UUID, rows_max: int
) -> list[TemplateVersion]:
    """Return a merchant's templates, or for None the company's own, newest first."""
    return [_version(row) for row in await connection.fetch(_LIST, merchant_id or COMPANY, before_id, rows_max)]


async def retire(connection: asyncpg.Connection, template_id: UUID, now: datetime) -> TemplateVersion | None:
    """Use a version no more; None when there is none that the transaction may see."""
    row = await connection.fetchrow(_RETIRE, template_id, now)
    return _version(row) if row else None


async def in_use(connection: asyncpg.Connection, rows_max: int) -> list[StoredTemplate]:
    """Return every template in use, read so many at a time."""
    found: list[StoredTemplate] = []
    after_id = UUID(int=0)
    while rows := await connection.fetch(_IN_USE, after_id, rows_max):
        found += [_version(row).template for row in rows]
        after_id = rows[-1]["id"]
    return found


def _version(row: asyncpg.Record) -> TemplateVersion:
    use = Use(row["status"], row["audience"], row["channel"], row["language"])
    stored = StoredTemplate(row["id"], owner_of(row["merchant_id"]), use, row["version"], row["subject"], row["body"])
    return TemplateVersion(stored, row["created_at"], row["retired_at"])
