"""Taking quarantined chunks again."""

from collections.abc import Sequence

import asyncpg

# Served by run_chunks_pkey and runs_pkey. What a chunk of a closed run held was set aside for the next run, but for
# what it had settled already and could not write down.
_REPLAY = """
UPDATE reconciliation.run_chunks c SET is_quarantined = false, attempts = 0, not_before = NULL, last_error = NULL
FROM reconciliation.runs r
WHERE r.run_no = c.run_no AND c.run_no = $1 AND c.is_quarantined AND (r.closed_at IS NULL OR c.state = 'post')
  AND (cardinality($2::int[]) = 0 OR c.chunk = ANY ($2::int[]))
RETURNING c.chunk
"""


async def replay(connection: asyncpg.Connection, run_no: int, chunks: Sequence[int]) -> list[int]:
    """Let workers take chunks again, of those that are quarantined; all for none named. Return which."""
    return sorted(row["chunk"] for row in await connection.fetch(_REPLAY, run_no, list(chunks)))
