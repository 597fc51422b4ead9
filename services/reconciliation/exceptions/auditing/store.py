"""The audit trail in PostgreSQL: every statement of it. The database chains what is added, and lets nothing change."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from services.reconciliation.exceptions.audit import AuditRow

_COLUMNS = "sequence, at, actor, action, subject, content, previous_sha256, sha256"
# Served by audit_trail_pkey, in whose order each row finds the one before.
_ADD = """
INSERT INTO reconciliation.audit_trail (at, actor, action, subject, content)
SELECT $1, $2, $3, subject, content FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS a (subject, content, place)
ORDER BY place RETURNING subject, sequence
"""
# Served by audit_trail_by_subject.
_OF_SUBJECT = f"""
SELECT {_COLUMNS} FROM reconciliation.audit_trail WHERE subject = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
"""  # noqa: S608 - a constant
# Served by audit_trail_pkey.
_PAGE = f"SELECT {_COLUMNS} FROM reconciliation.audit_trail WHERE sequence > $1 ORDER BY sequence LIMIT $2"  # noqa: S608 - a constant
# Served by cases_by_audit.
_TOLD_UNTIL = "SELECT coalesce(max(audited_sequence), 0) FROM reconciliation.cases"


async def add(
    connection: asyncpg.Connection, at: datetime, actor: str, action: str, told: Sequence[tuple[str, str]]
) -> Mapping[str, int]:
    """Add a row for each subject with its content, a JSON object; return the number of each."""
    rows = await connection.fetch(_ADD, at, actor, action, *map(list, zip(*told, strict=True)))
    return {row["subject"]: row["sequence"] for row in rows}


async def of_subject(connection: asyncpg.Connection, subject: str, after: int, rows_max: int) -> list[AuditRow]:
    """Return what happened to a subject, in order."""
    return [AuditRow(**row) for row in await connection.fetch(_OF_SUBJECT, subject, after, rows_max)]


async def page(connection: asyncpg.Connection, after: int, rows_max: int) -> list[AuditRow]:
    """Return the next rows of the trail."""
    return [AuditRow(**row) for row in await connection.fetch(_PAGE, after, rows_max)]


async def told_until(connection: asyncpg.Connection) -> int:
    """Return the last row that a case refers to; 0 for none."""
    found: int = await connection.fetchval(_TOLD_UNTIL)
    return found
