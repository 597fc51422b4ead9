"""Messages in the write-ahead log: published exactly when, and only if, their transaction commits."""

from collections.abc import Sequence

import asyncpg

# Serves no index.
_EMIT = "SELECT count(pg_logical_emit_message(true, $1, content)) FROM unnest($2::text[]) AS m (content)"


async def emit(connection: asyncpg.Connection, prefix: str, contents: Sequence[str]) -> None:
    """Write each of `contents` to the log under `prefix`, in order, in the current transaction."""
    if contents:
        await connection.execute(_EMIT, prefix, list(contents))
