"""The queries of services/*/invariants, each of which must return no rows."""

from pathlib import Path

import asyncpg

FILES = sorted((Path(__file__).resolve().parents[1] / "services").glob("*/invariants/*.sql"))
ROWS_SHOWN = 5


async def broken_invariants(dsn: str, service: str = "*") -> dict[str, list[dict[str, object]]]:
    """Return the rows that each broken invariant found, by its name; run as the owner, who sees every tenant."""
    files = [path for path in FILES if path.match(f"{service}/invariants/*.sql")]
    assert files
    connection = await asyncpg.connect(dsn)
    try:
        # One snapshot, so that what moves meanwhile is not seen half.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found = {path.stem: await connection.fetch(path.read_text()) for path in files}
    finally:
        await connection.close()
    return {name: [dict(row) for row in rows[:ROWS_SHOWN]] for name, rows in found.items() if rows}
