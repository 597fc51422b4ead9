"""Recon: a statement taken in and a whole run over it, beside bare COPY and one bare SQL statement of the same data."""

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncpg

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from services.reconciliation.runs.limits import RunLimits, WorkerLimits
from services.reconciliation.runs.opening import open_run, rules_of
from services.reconciliation.statements import store as statements
from services.reconciliation.statements.intake import ReceivedFile, take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.store import SourceMapping
from tests.benchmarks.report import Row, higher, lower, report
from tests.recon import CSV, NOW, START, Day, add_to_ledger, day_of, lines_of
from tests.recon_tables import RUNS, STATEMENTS, empty

DELIVERIES = int(os.environ.get("LASTMILE_BENCH_DELIVERIES", "280000"))
ROUNDS = int(os.environ.get("LASTMILE_BENCH_ROUNDS", "5"))
# What the servers cache pages in: more where a day's indexes are larger than what a newcomer's machine is asked for.
BUFFERS_MB = os.environ.get("LASTMILE_BENCH_BUFFERS_MB", "128")
SEED, DEADLINE_S = 6, 1_800.0
MEMORY_MB_MAX, RATIO_MAX, COPY_RATIO_MIN, INTAKE_PER_S_MIN = 500, 3, 1 / 3, 100_000
# A file of ten days is more than an upload may have.
INTAKE = IntakeLimits(file_bytes_max=1 << 30, content_bytes_max=1 << 30, rows_max=10_000_000)
_BACKENDS = "FROM pg_stat_activity WHERE application_name = 'reconciliation-worker'"
_BARE_TABLES = """
CREATE SCHEMA bench;
CREATE TABLE bench.lines (statement_id uuid, line integer, leg text, reference text, delivery_id uuid, payee text,
  paise bigint, paid_at timestamptz);
CREATE TABLE bench.kept_lines (LIKE reconciliation.statement_lines INCLUDING ALL);
CREATE TABLE bench.results (statement_id uuid, line integer, delivery_id uuid, leg text, outcome text,
  expected_paise bigint, paid_paise bigint);
CREATE TABLE bench.kept_results (LIKE bench.results, UNIQUE (statement_id, line));
CREATE INDEX ON bench.kept_results (delivery_id, leg) WHERE outcome = 'matched';
"""
# What one would write who needs no chunks, no resumption, no rules and no evidence.
_BARE_RUN = """
INSERT INTO bench.{table}
SELECT l.statement_id, l.line, coalesce(l.delivery_id, g.delivery_id), coalesce(l.leg, g.leg), CASE
    WHEN l.line IS NULL THEN 'missing_payout'
    WHEN g.delivery_id IS NULL THEN 'unknown_delivery'
    WHEN l.payee <> g.payee THEN 'wrong_partner'
    WHEN l.paise > g.paise THEN 'overpaid'
    WHEN l.paise < g.paise THEN 'underpaid'
    ELSE 'matched' END, g.paise, l.paise
FROM reconciliation.statement_lines l
FULL JOIN (
  SELECT e.delivery_id, CASE p.purpose WHEN 'earnings' THEN 'payout' ELSE 'cash' END AS leg,
    CASE p.purpose WHEN 'earnings' THEN p.account ELSE 'partner:' || e.partner_id END AS payee, abs(p.paise) AS paise
  FROM reconciliation.entries e JOIN reconciliation.postings p ON p.entry_id = e.id
  WHERE e.kind = 'earnings' AND ((p.purpose = 'earnings' AND p.paise < 0 AND p.account LIKE 'partner:%')
    OR (p.purpose = 'cash_collected' AND p.account LIKE 'cash:%'))
) g ON g.delivery_id = l.delivery_id AND g.leg = l.leg
"""


def used_s(*pids: int) -> float:
    """Seconds of processor time that processes have used: what a busy machine does not stretch."""
    used = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


class Meter:
    """Takes the time of a block: on the clock, and of the processors by some processes."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> Self:
        self._began_s, self._used_s = time.perf_counter(), used_s(*self._pids)
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s, self.cpu_s = time.perf_counter() - self._began_s, used_s(*self._pids) - self._used_s

    def also(self, *pids: int) -> None:
        """Count processes that have begun since."""
        self._pids += pids


def least(meters: list[Meter]) -> Meter:
    """The one that took the least processor time."""
    return min(meters, key=lambda meter: meter.cpu_s)


async def calm(owner: asyncpg.Connection) -> None:
    """Have every changed page written out and replayed by the standby: no part pays for what the one before left."""
    await owner.execute("CHECKPOINT")
    await _until(owner, "SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication")


async def bare_copy(owner: asyncpg.Connection, day: Day, table: str) -> Meter:
    """A COPY of the ready rows."""
    statement_id, rows = new_id(), list(lines_of(day))
    await calm(owner)
    with Meter(os.getpid(), await owner.fetchval("SELECT pg_backend_pid()")) as meter:
        await owner.copy_records_to_table(table, schema_name="bench", records=((statement_id, *row) for row in rows))
    await owner.execute(f"TRUNCATE bench.{table}")
    return meter


async def intake(owner: asyncpg.Connection, pool: asyncpg.Pool, content: bytes) -> Meter:
    """From a file to its lines."""
    await empty(owner, *STATEMENTS)
    await calm(owner)
    async with pool.acquire() as connection:
        await statements.add_mapping(connection, SourceMapping("bank", 1, CSV, START, "bench"))
        with Meter(os.getpid(), await connection.fetchval("SELECT pg_backend_pid()")) as meter:
            async with connection.transaction():
                with ReceivedFile(INTAKE) as received:
                    for start in range(0, len(content), 1 << 20):
                        received.add(content[start : start + (1 << 20)])
                    await take_in(connection, received, "bank", "day.csv", "bench", START, INTAKE)
    return meter


async def whole_run(servers: EmbeddedServers, pool: asyncpg.Pool, log: Path) -> tuple[Meter, float]:
    """From opening a run to its close by one worker, and the most memory in MB that this had."""
    ports = free_ports(2)
    told = {
        "reconciliation_worker_dsn": servers.dsn("reconciliation_worker"),
        "reconciliation_worker_port": str(ports[0]),
        "reconciliation_worker_metrics_port": str(ports[1]),
        "reconciliation_worker__schedule": "never",
        "reconciliation_worker__poll_s": "0.02",
    }
    environment = os.environ | {f"LASTMILE_{name.upper()}": value for name, value in told.items()}
    with log.open("wb") as output:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.reconciliation", "worker", env=environment, stdout=output, stderr=output
        )
    try:
        await _until(pool, f"SELECT count(*) >= {WorkerLimits().chunks_at_once} {_BACKENDS}")
        backends = await _backends(pool)
        limits = RunLimits()
        async with pool.acquire() as connection:
            opener = await connection.fetchval("SELECT pg_backend_pid()")
            with Meter(worker.pid, opener, *backends) as meter:
                async with connection.transaction():
                    await open_run(connection, rules_of(limits), limits, "bench", NOW)
                await _until(pool, "SELECT count(*) = 0 FROM reconciliation.runs WHERE closed_at IS NULL")
                meter.also(*(await _backends(pool) - backends))
        status = Path(f"/proc/{worker.pid}/status").read_text()
        peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return meter, peak_kb / 1024
    finally:
        worker.terminate()
        await worker.wait()


async def _backends(pool: asyncpg.Pool) -> set[int]:
    return {row["pid"] for row in await pool.fetch(f"SELECT pid {_BACKENDS}")}


async def _until(asked: asyncpg.Pool | asyncpg.Connection, query: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await asked.fetchval(query):
            await asyncio.sleep(0.02)


async def found(owner: asyncpg.Connection) -> dict[str, set[str]]:
    """The discrepancies by class."""
    by_class = defaultdict(set)
    for row in await owner.fetch(
        "SELECT d.class, coalesce(l.reference, d.delivery_id::text) AS about FROM reconciliation.discrepancies d"
        " LEFT JOIN reconciliation.statement_lines l ON l.statement_id = d.statement_id AND l.line = d.line"
    ):
        by_class[row["class"]].add(row["about"])
    return dict(by_class)


async def bare_run(owner: asyncpg.Connection, table: str) -> Meter:
    """One statement that joins, classifies and writes."""
    await owner.execute(f"TRUNCATE bench.{table}")
    await calm(owner)
    with Meter(await owner.fetchval("SELECT pg_backend_pid()")) as meter:
        await owner.execute(_BARE_RUN.format(table=table))
    return meter


@dataclass(frozen=True, slots=True)
class Round:
    """A run, and the bare statement right before it: into a table without an index, and into one with the run's two."""

    bare: Meter
    kept: Meter
    run: Meter
    peak_mb: float
    # Discrepancies that were missed or made up.
    wrong: int

    @property
    def ratio(self) -> float:
        return self.run.wall_s / self.bare.wall_s


async def one_round(
    servers: EmbeddedServers, owner: asyncpg.Connection, pool: asyncpg.Pool, day: Day, log: Path
) -> Round:
    """Do both, from the same state."""
    await empty(owner, *RUNS)
    bare, kept = await bare_run(owner, "results"), await bare_run(owner, "kept_results")
    await calm(owner)
    run, peak_mb = await whole_run(servers, pool, log)
    discrepancies = await found(owner)
    seeded = {name: about for name, about in day.seeded.items() if about}
    wrong = sum(len(seeded.get(name, set()) ^ discrepancies.get(name, set())) for name in {*seeded, *discrepancies})
    return Round(bare, kept, run, peak_mb, wrong)


async def measure(servers: EmbeddedServers, folder: Path) -> None:
    day = day_of(DELIVERIES, SEED)
    content = day.file()
    # What the day takes is no concern of what is measured.
    gc.freeze()
    owner = await asyncpg.connect(servers.dsn(), command_timeout=DEADLINE_S)
    await owner.execute(_BARE_TABLES)
    await add_to_ledger(owner, day.owed)
    # What autovacuum does some time, it does before.
    await owner.execute("ALTER SYSTEM SET autovacuum = off")
    await owner.execute("SELECT pg_reload_conf()")
    await owner.execute("VACUUM ANALYZE reconciliation.entries, reconciliation.postings")
    limits = PoolLimits(connections_max=3, statement_timeout_ms=600_000)
    async with await create_pool(servers.dsn("reconciliation_worker"), limits, "bench") as pool:
        copied, kept = [least([await bare_copy(owner, day, t) for _ in range(ROUNDS)]) for t in ("lines", "kept_lines")]
        taken = least([await intake(owner, pool, content) for _ in range(ROUNDS)])
        await owner.execute("VACUUM ANALYZE reconciliation.statement_lines")
        rounds = []
        for number in range(ROUNDS):
            print(f"run {number + 1} of {ROUNDS}", file=sys.stderr)
            rounds.append(await one_round(servers, owner, pool, day, folder / "worker.log"))
        chunks = await owner.fetchval("SELECT chunks_count FROM reconciliation.runs")
    await owner.close()
    middle, rows = sorted(rounds, key=lambda one: one.ratio)[ROUNDS // 2], len(day.paid)
    wrong = sum(one.wrong for one in rounds)
    report(
        "recon",
        [
            lower(f"a run of {DELIVERIES:,} deliveries", middle.run.wall_s, "s", "bare statement", middle.bare.wall_s),
            Row(f"times the bare statement's, median of {ROUNDS}", middle.ratio, "x", "at most", RATIO_MAX),
            *(Row("in each round", one.ratio, "x", "at most", RATIO_MAX) for one in rounds),
            lower("its processor time", middle.run.cpu_s, "s", "that statement's", middle.bare.cpu_s),
            lower("the same", middle.run.cpu_s, "s", "with the same two indexes", middle.kept.cpu_s),
            Row("chunks", chunks, ""),
            Row("most memory of the worker", max(one.peak_mb for one in rounds), "MB", "at most", MEMORY_MB_MAX),
            Row("discrepancies seeded", sum(map(len, day.seeded.values())), ""),
            Row("missed or invented", wrong, "", "at most", 0),
            Row("rows of the statement", rows, ""),
            higher("rows taken in from CSV", rows / taken.wall_s, "1/s", "target", INTAKE_PER_S_MIN),
            Row("share of COPY of ready rows", kept.wall_s / taken.wall_s, "x", "at least", COPY_RATIO_MIN),
            Row("the same, to a table without indexes", copied.wall_s / taken.wall_s, "x", "at least", COPY_RATIO_MIN),
            higher("a second of processor time", rows / taken.cpu_s, "1/s", "that COPY's", rows / kept.cpu_s),
        ],
    )  # fmt: skip
    assert wrong == 0


def main() -> None:
    told = {"LASTMILE_POSTGRES_SHARED_BUFFERS_MB": BUFFERS_MB}
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder) / "home", told) as servers:
        asyncio.run(measure(servers, Path(folder)))


if __name__ == "__main__":
    main()
