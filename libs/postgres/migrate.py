"""Applies a schema's SQL files in order, each once, each in its own transaction."""

import hashlib
import re
from pathlib import Path

import asyncpg

_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_LOCK = 0x4C4D_0001  # any number, as long as every migrator takes the same


class MigrationError(RuntimeError):
    """A migration cannot be applied; the message names the file and what to do."""


async def migrate(dsn: str, directory: Path, schema: str) -> list[str]:
    """Bring `schema` up to the newest file of `directory`; return the names of the files applied now.

    Several migrators may run at once: one works, the others find its work done. Raises MigrationError when an
    applied file has changed since, or when a file fails, which then leaves no trace.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        return await _apply_missing(connection, directory, schema)
    finally:
        await connection.close()


async def _apply_missing(connection: asyncpg.Connection, directory: Path, schema: str) -> list[str]:
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    await connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{schema}".schema_migrations ('
        "version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    known = {
        row["version"]: row["sha256"] for row in await connection.fetch(f'SELECT * FROM "{schema}".schema_migrations')
    }
    applied = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise MigrationError(f"{path}: a migration is named NNNN_what_it_does.sql")
        version, text = int(match[1]), path.read_text()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if version in known:
            if known[version] != digest:
                raise MigrationError(f"{path} has changed since it was applied; add a new migration instead")
            continue
        await _apply(connection, path, schema, version, text, digest)
        applied.append(path.name)
    return applied


async def _apply(connection: asyncpg.Connection, path: Path, schema: str, version: int, text: str, digest: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(text)
            await connection.execute(
                f'INSERT INTO "{schema}".schema_migrations (version, name, sha256) VALUES ($1, $2, $3)',
                version, path.name, digest,
            )  # fmt: skip
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{path}: {error}") from error
