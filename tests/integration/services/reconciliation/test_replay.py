"""Quarantined chunks are taken again: while their run is open, and after it for what they could not write down."""

from dataclasses import replace

import asyncpg
import grpc
import pytest
from lastmile.reconciliation.v1 import run_pb2

from libs.postgres.log_position import position
from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.opening import open_run, rules_of
from services.reconciliation.runs.worker import Worker
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.test_api import refused
from tests.integration.services.reconciliation.test_runs import found
from tests.recon import NOW, Day, add_to_ledger, day_of
from tests.recon_runs import LIMITS, run_once, taken_in

ONCE = WorkerLimits(schedule="never", attempts_max=1)
PATIENT = WorkerLimits(schedule="never", backoff_first_s=60)
# Whoever has classified a chunk is ended before it is committed.
STALL = """
CREATE FUNCTION pg_temp.stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stalled'; END $$;
CREATE TRIGGER stall BEFORE UPDATE ON reconciliation.run_chunks FOR EACH ROW
  WHEN (OLD.state = 'classify' AND NEW.state = 'post') EXECUTE FUNCTION pg_temp.stall()
"""


async def a_day(clean: asyncpg.Connection, pool: asyncpg.Pool, every: int) -> Day:
    day = day_of(1_000, seed=10, every=every)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    return day


async def poison(clean: asyncpg.Connection, table: str, delivery_id: object) -> None:
    """Whoever writes about a delivery fails."""
    await clean.execute(
        "CREATE OR REPLACE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.delivery_id = '{delivery_id}' THEN RAISE 'poison'; END IF; RETURN NEW; END $$")  # fmt: skip
    await clean.execute(
        f"CREATE TRIGGER poison BEFORE INSERT ON reconciliation.{table}"
        " FOR EACH ROW EXECUTE FUNCTION pg_temp.poison()")  # fmt: skip


async def opened(pool: asyncpg.Pool, limits: RunLimits = LIMITS) -> int:
    async with pool.acquire() as connection, connection.transaction():
        run, _ = await open_run(connection, rules_of(limits), limits, "test", NOW)
    return run.run_no


def request(*chunks: int) -> run_pb2.ReplayChunksRequest:
    return run_pb2.ReplayChunksRequest(run_no=1, chunks=chunks, note="the disk was full")


async def test_a_chunk_of_an_open_run_is_taken_again_and_the_run_finds_all(
    clean: asyncpg.Connection, pool: asyncpg.Pool, api: LedgerApi
) -> None:
    day = await a_day(clean, pool, every=20)
    await poison(clean, "results", day.owed[500].delivery_id)
    await opened(pool)
    worker = Worker(pool, LIMITS, ONCE)
    async with pool.acquire() as connection:
        while (claimed := await worker.claim(connection)) is not None:
            await worker.attempt(connection, claimed)
    chunk = await clean.fetchval("SELECT chunk FROM reconciliation.run_chunks WHERE is_quarantined")
    await clean.execute("DROP TRIGGER poison ON reconciliation.results")
    other = next(number for number in range(3) if number != chunk)
    assert await refused(api, api.runs.ReplayChunks, request(chunk, other)) == "CHUNKS_NOT_REPLAYED"
    answer = await api.ask(api.runs.ReplayChunks, request(chunk))
    assert list(answer.chunks) == [chunk]
    while await worker.work_once():
        pass
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.run_chunks WHERE state <> 'done'") == 0
    lines = await clean.fetchval("SELECT count(*) FROM reconciliation.statement_lines")
    held = "SELECT (SELECT count(*) FROM reconciliation.results WHERE line IS NOT NULL)"
    assert await clean.fetchval(f"{held} + (SELECT count(*) FROM reconciliation.open_lines)") == lines
    trail = await clean.fetchrow("SELECT actor, action, subject, content FROM reconciliation.audit_trail")
    assert (trail["actor"], trail["action"], trail["subject"]) == ("test", "replay", "runs/1")
    assert "the disk was full" in trail["content"]
    # The chunks that had gone on without it had concluded nothing; the next run does.
    await run_once(pool, NOW.replace(day=28))
    assert await found(clean) == dict(day.seeded)


@pytest.mark.parametrize("goes_first", [True, False])
async def test_a_chunk_whose_rules_were_not_asked_concludes_nothing_although_what_was_missing_came_since(
    clean: asyncpg.Connection, pool: asyncpg.Pool, api: LedgerApi, goes_first: bool
) -> None:
    day = day_of(1_000, seed=10, every=10_000)
    day.paid = [replace(row, reference="") if row.leg == "payout" and not row.paise % 9 else row for row in day.paid]
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    # Of the chunk that has all lines without a reference.
    await poison(clean, "results", min(one.delivery_id for one in day.owed))
    await opened(pool)
    hasty, patient = Worker(pool, LIMITS, ONCE), Worker(pool, LIMITS, PATIENT)
    async with pool.acquire() as connection:
        while not await clean.fetchval("SELECT bool_or(is_quarantined) FROM reconciliation.run_chunks"):
            claimed = await hasty.claim(connection)
            assert claimed is not None
            await hasty.attempt(connection, claimed)
        await clean.execute(STALL)
        while (claimed := await patient.claim(connection)) is not None:
            await patient.attempt(connection, claimed)
        assert await clean.fetch("SELECT DISTINCT state FROM reconciliation.run_chunks WHERE chunk > 0") == [
            ("classify",)
        ]
        await clean.execute("DROP TRIGGER poison ON reconciliation.results")
        await clean.execute("DROP TRIGGER stall ON reconciliation.run_chunks")
        assert list((await api.ask(api.runs.ReplayChunks, request(0))).chunks) == [0]
        for is_first_of_all in (goes_first, not goes_first):
            await clean.execute(
                "UPDATE reconciliation.run_chunks SET not_before = CASE WHEN (chunk = 0) <> $1 THEN now() + interval"
                " '1 hour' END", is_first_of_all)  # fmt: skip
            while (claimed := await patient.claim(connection)) is not None:
                await patient.attempt(connection, claimed)
    while await patient.work_once():
        pass
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.run_chunks WHERE state <> 'done'") == 0
    assert await found(clean) == {}
    await run_once(pool, NOW.replace(day=28))
    assert await found(clean) == {}
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.open_legs") == 0


async def test_what_a_chunk_could_not_write_down_is_written_down_after_its_run_is_closed(
    clean: asyncpg.Connection, pool: asyncpg.Pool, api: LedgerApi
) -> None:
    day = await a_day(clean, pool, every=20)
    reference = min(day.seeded["overpaid"])
    await poison(clean, "discrepancies", reference)
    await opened(pool)
    worker = Worker(pool, LIMITS, ONCE)
    while await worker.work_once():
        pass
    row = await clean.fetchrow("SELECT state, last_error FROM reconciliation.run_chunks WHERE is_quarantined")
    assert row["state"] == "post"
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.runs WHERE closed_at IS NULL") == 0
    await clean.execute("DROP TRIGGER poison ON reconciliation.discrepancies")
    # The next run has nothing to say of what is settled, and says the rest.
    await run_once(pool, NOW.replace(day=28))
    assert reference not in (await found(clean)).get("overpaid", set())
    await api.ask(api.runs.ReplayChunks, request())
    while await worker.work_once():
        pass
    assert await found(clean) == dict(day.seeded)


async def test_what_a_later_run_has_taken_on_is_not_taken_again(
    clean: asyncpg.Connection, pool: asyncpg.Pool, api: LedgerApi
) -> None:
    day = await a_day(clean, pool, every=10_000)
    await poison(clean, "results", day.owed[500].delivery_id)
    await opened(pool)
    worker = Worker(pool, LIMITS, ONCE)
    while await worker.work_once():
        pass
    await clean.execute("DROP TRIGGER poison ON reconciliation.results")
    api.has_seen(await position(clean))
    assert await refused(api, api.runs.ReplayChunks, request()) == "CHUNKS_NOT_REPLAYED"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.ask(api.runs.ReplayChunks, run_pb2.ReplayChunksRequest(run_no=9, note="x"))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_events_tell_of_a_run_from_its_opening_to_its_end_and_are_counted(
    clean: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await a_day(clean, pool, every=10_000)
    await opened(pool)
    worker = Worker(pool, LIMITS, WorkerLimits(schedule="never", tell_every_s=3_600))
    while await worker.work_once():
        pass
    # It was told of when it was opened, too short a time before anything else, and when it was closed.
    assert await clean.fetchval("SELECT told_sequence FROM reconciliation.runs") == 2
