"""Statements taken in and runs done in the test's own process."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.opening import open_run, rules_of
from services.reconciliation.runs.worker import Worker
from services.reconciliation.settlements.payments.booking import book_next_run
from services.reconciliation.statements import store as statements
from services.reconciliation.statements.intake import ReceivedFile, TakenIn, take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.store import SourceMapping
from tests.recon import CSV, NOW, START

LIMITS = RunLimits(chunk_rows=400)


async def taken_in(pool: asyncpg.Pool, content: bytes, source_code: str = "bank") -> TakenIn:
    """Take a statement in."""
    async with pool.acquire() as connection, connection.transaction():
        if await statements.last_mapping(connection, source_code) is None:
            await statements.add_mapping(connection, SourceMapping(source_code, 1, CSV, START, "test"))
        with ReceivedFile(IntakeLimits()) as received:
            received.add(content)
            # What some tests pay is paid today, whenever that is.
            limits = IntakeLimits(paid_ahead_d_max=36_500)
            return await take_in(connection, received, source_code, "day.csv", "test", START, limits)


async def run_once(pool: asyncpg.Pool, now: datetime = NOW, limits: RunLimits = LIMITS) -> int:
    """Open a run and do it; return its number."""
    worker = Worker(pool, limits, WorkerLimits(schedule="never"))
    async with pool.acquire() as connection, connection.transaction():
        run, _ = await open_run(connection, rules_of(limits), limits, "test", now)
    while await worker.work_once():
        pass
    return run.run_no


async def booked(pool: asyncpg.Pool, own_cities: Sequence[str] = ()) -> None:
    """Book what runs have found that was paid."""
    async with pool.acquire() as connection:
        while await book_next_run(connection, own_cities, datetime.now(UTC)):
            pass
