"""The tables of reconciliation, emptied around a test and read whole: what is in them depends on nothing else."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

REPLAY_S_MAX = 60
# What a run leaves behind, each with what it is ordered by.
RESULTS = {
    "results": "statement_id, line, delivery_id, leg",
    "open_lines": "statement_id, line",
    "open_legs": "delivery_id, leg",
    "discrepancies": "id",
}
# What settling leaves behind.
SETTLEMENTS = (
    "payouts", "payout_batches", "settlement_hold_changes", "settlement_holds", "settlement_top_ups",
    "settlement_statements", "settlement_lines", "settlement_payments", "settlement_runs",
    "settlement_cycles",
)  # fmt: skip
RUNS = (*RESULTS, "run_chunks", "run_statements", "runs")
_DESK = ("cases", "resolutions", "audit_trail", "idempotency_keys")
STATEMENTS = ("refused_rows", "statement_lines", "statements", "mappings")
_LEDGER = (
    "postings",
    "corrections",
    "entries",
    "rate_cards",
    "deliveries",
    "delivery_changes",
    "partner_versions",
    "seen_events",
)


async def empty(owner: asyncpg.Connection, *tables: str) -> None:
    """Empty tables, past the triggers that refuse it."""
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(f"TRUNCATE {', '.join(f'reconciliation.{table}' for table in tables)} CASCADE")
    await owner.execute("RESET session_replication_role")
    # A query of whoever comes next would be in the way of the standby, which locks table after table as it was done.
    end = await owner.fetchval("SELECT pg_current_wal_insert_lsn()")
    async with asyncio.timeout(REPLAY_S_MAX):
        while await owner.fetchval("SELECT bool_or(replay_lsn < $1) FROM pg_stat_replication", end):
            await asyncio.sleep(0.005)


@asynccontextmanager
async def emptied(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """Nothing is there before the block, nor after it."""
    tables = (*SETTLEMENTS, *RUNS, *_DESK, *STATEMENTS, *_LEDGER)
    await empty(owner, *tables)
    try:
        yield
    finally:
        await empty(owner, *tables)


async def digests(owner: asyncpg.Connection) -> dict[str, str]:
    """The hash of every byte that a run left behind, by table."""
    found = {}
    for table, order in RESULTS.items():
        digest = hashlib.sha256()

        async def add(data: bytes, digest: "hashlib._Hash" = digest) -> None:
            digest.update(data)

        await owner.copy_from_query(f"SELECT * FROM reconciliation.{table} ORDER BY {order}", output=add)
        found[table] = digest.hexdigest()
    return found
