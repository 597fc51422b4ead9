"""Statements in PostgreSQL: every statement of this noun. What is taken in never changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.statements.fields import Line
from services.reconciliation.statements.mapping import Mapping
from services.reconciliation.statements.problems import RefusedRow

_STATEMENT_COLUMNS = """
  id, source_code, mapping_version, file_name, content_sha256, size_bytes, rows_taken, rows_refused, taken_paise,
  refused_paise, received_at, received_by
"""
_LINE_COLUMNS = ("statement_id", "line", "leg", "reference", "delivery_id", "payee", "paise", "paid_at")
_REFUSED_COLUMNS = ("statement_id", "line", "reason", "said", "content")
# Serves no index: who takes the same file in, or makes a version for the same source, waits for the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(chr(10), 'statements', $1::text, $2::text), 0))"
# Served by mappings_pkey.
_ADD_MAPPING = """
INSERT INTO reconciliation.mappings (source_code, version, terms, created_at, created_by) VALUES ($1, $2, $3, $4, $5)
"""
# Served by mappings_pkey.
_LAST_MAPPING = """
SELECT source_code, version, terms, created_at, created_by FROM reconciliation.mappings
WHERE source_code = $1 ORDER BY version DESC LIMIT 1
"""
# Served by mappings_pkey, whose order is the list's; there are some dozens of sources.
_LIST_MAPPINGS = """
SELECT source_code, version, terms, created_at, created_by FROM reconciliation.mappings
WHERE (source_code, version) > ($1, $2) ORDER BY source_code, version LIMIT $3
"""
# Served by statement_once.
_SAME_FILE = f"""
SELECT {_STATEMENT_COLUMNS} FROM reconciliation.statements WHERE source_code = $1 AND content_sha256 = $2
"""  # noqa: S608 - a constant
_ADD_STATEMENT = f"""
INSERT INTO reconciliation.statements ({_STATEMENT_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""  # noqa: S608 - a constant
# Served by statements_pkey.
_GET = f"SELECT {_STATEMENT_COLUMNS} FROM reconciliation.statements WHERE id = $1"  # noqa: S608 - a constant
# Served by statements_pkey, whose order is the list's.
_LIST = f"""
SELECT {_STATEMENT_COLUMNS} FROM reconciliation.statements
WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - a constant
# Served by refused_rows_pkey.
_REFUSED = """
SELECT line, reason, said, content FROM reconciliation.refused_rows WHERE statement_id = $1 AND line > $2
ORDER BY line LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """A version of how a source is read."""

    source_code: str
    version: int
    mapping: Mapping
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A file that was taken in, and what it came to."""

    id: UUID
    source_code: str
    mapping_version: int
    file_name: str
    content_sha256: bytes
    size_bytes: int
    rows_taken: int
    rows_refused: int
    taken_paise: int
    refused_paise: int
    received_at: datetime
    received_by: str


async def lock(connection: asyncpg.Connection, source_code: str, what: str) -> None:
    """Have others who ask for the same wait for the end of this transaction."""
    await connection.execute(_LOCK, source_code, what)


async def add_mapping(connection: asyncpg.Connection, made: SourceMapping) -> None:
    """Store a version."""
    terms = made.mapping.model_dump_json()
    await connection.execute(_ADD_MAPPING, made.source_code, made.version, terms, made.created_at, made.created_by)


async def last_mapping(connection: asyncpg.Connection, source_code: str) -> SourceMapping | None:
    """Return the version by which a source is read, or None for a source that is not known."""
    row = await connection.fetchrow(_LAST_MAPPING, source_code)
    return _mapping_from(row) if row else None


async def mappings(
    connection: asyncpg.Connection, after_source: str, after_version: int, rows_max: int
) -> list[SourceMapping]:
    """Return versions by source and number, those after one."""
    return [_mapping_from(row) for row in await connection.fetch(_LIST_MAPPINGS, after_source, after_version, rows_max)]


async def same_file(connection: asyncpg.Connection, source_code: str, content_sha256: bytes) -> Statement | None:
    """Return what the same file of the same source was taken in as."""
    row = await connection.fetchrow(_SAME_FILE, source_code, content_sha256)
    return Statement(**row) if row else None


async def add_statement(connection: asyncpg.Connection, made: Statement) -> None:
    """Store what a file came to."""
    await connection.execute(
        _ADD_STATEMENT, made.id, made.source_code, made.mapping_version, made.file_name, made.content_sha256,
        made.size_bytes, made.rows_taken, made.rows_refused, made.taken_paise, made.refused_paise, made.received_at,
        made.received_by,
    )  # fmt: skip


async def copy_lines(connection: asyncpg.Connection, statement_id: UUID, lines: Sequence[Line]) -> None:
    """Add lines by COPY."""
    # The driver takes the bytes of a UUID apart for each row; those of a text it reads at once.
    named = str(statement_id)
    await connection.copy_records_to_table(
        "statement_lines",
        schema_name="reconciliation",
        columns=_LINE_COLUMNS,
        records=((named, *line) for line in lines),
    )


async def copy_refused(connection: asyncpg.Connection, statement_id: UUID, rows: Sequence[RefusedRow]) -> None:
    """Add refused rows by COPY."""
    await connection.copy_records_to_table(
        "refused_rows",
        schema_name="reconciliation",
        columns=_REFUSED_COLUMNS,
        records=((statement_id, row.line, row.reason, row.said, row.content) for row in rows),
    )


async def get(connection: asyncpg.Connection, statement_id: UUID) -> Statement | None:
    """Return one statement, or None."""
    row = await connection.fetchrow(_GET, statement_id)
    return Statement(**row) if row else None


async def search(connection: asyncpg.Connection, before_id: UUID | None, rows_max: int) -> list[Statement]:
    """Return statements, the youngest first."""
    return [Statement(**row) for row in await connection.fetch(_LIST, before_id, rows_max)]


async def refused_rows(
    connection: asyncpg.Connection, statement_id: UUID, after_line: int, rows_max: int
) -> list[RefusedRow]:
    """Return a statement's refused rows in the order of the file, those after a line."""
    return [RefusedRow(**row) for row in await connection.fetch(_REFUSED, statement_id, after_line, rows_max)]


def _mapping_from(row: asyncpg.Record) -> SourceMapping:
    mapping = Mapping.model_validate_json(row["terms"])
    return SourceMapping(row["source_code"], row["version"], mapping, row["created_at"], row["created_by"])
