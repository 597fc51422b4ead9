"""Telling of runs: an event of how far one is, at most so often, in the transaction of what it tells or right after."""

from datetime import UTC, datetime, timedelta

import asyncpg

from libs.postgres.log_messages import emit
from services.reconciliation.runs.events import progressed_event
from services.reconciliation.runs.reading import store as reading

LOG_PREFIX = "lastmile.events"
AT_ONCE = timedelta(0)
# Served by runs_pkey.
_DUE = """
UPDATE reconciliation.runs SET told_sequence = told_sequence + 1, told_at = clock_timestamp()
WHERE run_no = $1 AND coalesce(told_at <= clock_timestamp() - $2::interval, true) RETURNING told_sequence
"""
# Served by run_chunks_pkey.
_STATES = """
SELECT state, count(*)::int AS chunks, count(*) FILTER (WHERE is_quarantined)::int AS quarantined
FROM reconciliation.run_chunks WHERE run_no = $1 GROUP BY state ORDER BY state
"""


async def tell(connection: asyncpg.Connection, run_no: int, every: timedelta) -> bool:
    """Publish how far a run is, within the caller's transaction, unless that was done less than `every` ago."""
    sequence = await connection.fetchval(_DUE, run_no, every)
    run = await reading.get(connection, run_no) if sequence is not None else None
    if run is None:
        return False
    rows = await connection.fetch(_STATES, run_no)
    states, quarantined = {row["state"]: row["chunks"] for row in rows}, sum(row["quarantined"] for row in rows)
    await emit(connection, LOG_PREFIX, [progressed_event(run, states, quarantined, sequence, datetime.now(UTC))])
    return True
