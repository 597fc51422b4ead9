"""Workers are killed at many points of a run: what it leaves behind is byte for byte what an undisturbed one leaves.

LASTMILE_RECON_KILLS and LASTMILE_RECON_ROWS ask for more of it: `make soak` for 200 kills of a run of 100,000 rows.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.reconciliation.runs.lifecycle import ORDER
from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.opening import open_run, rules_of
from services.reconciliation.runs.worker import Worker
from services.reconciliation.statements import store as statements
from services.reconciliation.statements.intake import ReceivedFile, take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.store import SourceMapping
from tests.invariants import broken_invariants
from tests.recon import CSV, NOW, START, Day, add_to_ledger, day_of
from tests.recon_tables import RUNS, digests, empty

SEED = 6
KILLS = int(os.environ.get("LASTMILE_RECON_KILLS", "30"))
ROWS = int(os.environ.get("LASTMILE_RECON_ROWS", "20000"))
CHUNKS, WORKERS = 40, 2
DEADLINE_S = 60.0 + 5 * KILLS
LIMITS = RunLimits(chunk_rows=ROWS // CHUNKS, chunks_max=CHUNKS)
_PROGRESS = """
SELECT coalesce(sum(array_position($1::text[], state)), 0)::bigint AS states,
  coalesce(bool_or(is_quarantined), false) AS is_quarantined
FROM reconciliation.run_chunks
"""
_CLAIMS = "SELECT sum(fence)::bigint FROM reconciliation.run_chunks"
_OPEN = "SELECT count(*) FROM reconciliation.runs WHERE closed_at IS NULL"


class RunWorker:
    """`python -m services.reconciliation worker` that is quick to take over, and never gives up."""

    def __init__(self, servers: EmbeddedServers, log: Path) -> None:
        ports = free_ports(2)
        told = {
            "reconciliation_worker_port": str(ports[0]),
            "reconciliation_worker_metrics_port": str(ports[1]),
            "reconciliation_worker_dsn": servers.dsn("reconciliation_worker"),
            "reconciliation_worker__schedule": "never",
            "reconciliation_worker__poll_s": "0.05",
            "reconciliation_worker__lease_ttl_s": "0.2",
            "reconciliation_worker__attempts_max": "1000",
        }
        self._environment = os.environ | {f"LASTMILE_{name.upper()}": value for name, value in told.items()}
        self._log = log
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "services.reconciliation", "worker"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)

    def end(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        self._process.wait(60)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("killed-recon") / "home") as started:
        yield started


async def prepare(owner: asyncpg.Connection, pool: asyncpg.Pool, day: Day) -> None:
    await add_to_ledger(owner, day.owed)
    async with pool.acquire() as connection, connection.transaction():
        await statements.add_mapping(connection, SourceMapping("bank", 1, CSV, START, "test"))
        with ReceivedFile(IntakeLimits()) as received:
            received.add(day.file())
            await take_in(connection, received, "bank", "day.csv", "test", START, IntakeLimits())


async def opened(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await open_run(connection, rules_of(LIMITS), LIMITS, "test", NOW)


async def killed_run(owner: asyncpg.Connection, workers: list[RunWorker], chance: random.Random) -> int:
    """Kill workers at random points of the run until it is closed; return how many were killed."""
    first, last = CHUNKS, CHUNKS * len(ORDER)
    # The last kill comes while there is some work left: it is not to be too late for it.
    points = sorted(chance.sample(range(first, last - CHUNKS // 2), KILLS)) if last - first > KILLS else []
    kills = 0
    async with asyncio.timeout(DEADLINE_S):
        while await owner.fetchval(_OPEN):
            row = await owner.fetchrow(_PROGRESS, list(ORDER))
            assert not row["is_quarantined"]
            if kills < len(points) and row["states"] >= points[kills]:
                worker = chance.choice(workers)
                await asyncio.sleep(chance.random() * 0.02)
                worker.end(signal.SIGKILL)
                worker.start()
                kills += 1
            await asyncio.sleep(0.003)
    return kills


async def test_a_run_leaves_the_same_bytes_whoever_is_killed_when(servers: EmbeddedServers, tmp_path: Path) -> None:
    day, chance = day_of(ROWS, SEED), random.Random(SEED)
    owner = await asyncpg.connect(servers.dsn(), command_timeout=DEADLINE_S)
    limits = PoolLimits(connections_max=2, statement_timeout_ms=60_000)
    async with await create_pool(servers.dsn("reconciliation_worker"), limits, "test") as pool:
        await prepare(owner, pool, day)
        await opened(pool)
        alone = Worker(pool, LIMITS, WorkerLimits(schedule="never"))
        while await alone.work_once():
            pass
        undisturbed = await digests(owner)
        claims = await owner.fetchval(_CLAIMS)
        assert await owner.fetchval("SELECT count(*) FROM reconciliation.discrepancies") > 0
        await empty(owner, *RUNS)
        await opened(pool)
        workers = [RunWorker(servers, tmp_path / f"worker-{number}.log") for number in range(WORKERS)]
        try:
            kills = await killed_run(owner, workers, chance)
        finally:
            for worker in workers:
                worker.end(signal.SIGTERM)
    assert kills == KILLS
    # Some died with a chunk in their hands, which others took over.
    assert await owner.fetchval(_CLAIMS) > claims
    assert await digests(owner) == undisturbed
    assert await broken_invariants(servers.dsn()) == {}
    await owner.close()
