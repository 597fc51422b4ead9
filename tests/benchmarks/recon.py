"""Recon: a statement taken in and a whole run over it, beside bare COPY and one bare SQL statement of the same data."""

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Self

import asyncpg

from libs.embedded.stack import EmbeddedServers, free_ports
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

DELIVERIES = int(os.environ.get("LASTMILE_BENCH_DELIVERIES", "280000"))
ROUNDS, SEED, DEADLINE_S = 3, 6, 1_800.0
MEMORY_MB_MAX, RATIO_MAX, COPY_RATIO_MIN = 500, 3, 1 / 3
_BACKENDS = "FROM pg_stat_activity WHERE application_name = 'reconciliation-worker'"
_BARE_TABLES = """
CREATE SCHEMA bench;
CREATE TABLE bench.lines (statement_id uuid, line integer, leg text, reference text, delivery_id uuid, payee text,
  paise bigint, paid_at timestamptz);
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


def least(meters: list[Meter]) -> Meter:
    """The one that took the least processor time."""
    return min(meters, key=lambda meter: meter.cpu_s)


async def bare_copy(owner: asyncpg.Connection, day: Day) -> Meter:
    """A COPY of the ready rows into a table without an index."""
    statement_id, rows = new_id(), list(lines_of(day))
    with Meter(os.getpid(), await owner.fetchval("SELECT pg_backend_pid()")) as meter:
        await owner.copy_records_to_table(
            "lines", schema_name="bench", records=((statement_id, *row) for row in rows)
        )  # fmt: skip
    await owner.execute("TRUNCATE bench.lines")
    return meter


async def intake(pool: asyncpg.Pool, content: bytes, source_code: str) -> Meter:
    """From a file to its lines."""
    async with pool.acquire() as connection:
        await statements.add_mapping(connection, SourceMapping(source_code, 1, CSV, START, "bench"))
        with Meter(os.getpid(), await connection.fetchval("SELECT pg_backend_pid()")) as meter:
            async with connection.transaction():
                with ReceivedFile(IntakeLimits()) as received:
                    for start in range(0, len(content), 1 << 20):
                        received.add(content[start : start + (1 << 20)])
                    await take_in(connection, received, source_code, "day.csv", "bench", START, IntakeLimits())
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
        backends = [row["pid"] for row in await pool.fetch(f"SELECT pid {_BACKENDS}")]
        limits = RunLimits()
        async with pool.acquire() as connection:
            opener = await connection.fetchval("SELECT pg_backend_pid()")
            with Meter(worker.pid, opener, *backends) as meter:
                async with connection.transaction():
                    await open_run(connection, rules_of(limits), limits, "bench", NOW)
                await _until(pool, "SELECT count(*) = 0 FROM reconciliation.runs WHERE closed_at IS NULL")
        status = Path(f"/proc/{worker.pid}/status").read_text()
        peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return meter, peak_kb / 1024
    finally:
        worker.terminate()
        await worker.wait()


async def _until(pool: asyncpg.Pool, query: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await pool.fetchval(query):
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
    meters = []
    for _ in range(ROUNDS):
        await owner.execute(f"TRUNCATE bench.{table}")
        with Meter(await owner.fetchval("SELECT pg_backend_pid()")) as meter:
            await owner.execute(_BARE_RUN.format(table=table))
        meters.append(meter)
    return least(meters)


async def measure(servers: EmbeddedServers, folder: Path) -> None:
    day = day_of(DELIVERIES, SEED)
    content = day.file()
    # What the day takes is no concern of what is measured.
    gc.freeze()
    owner = await asyncpg.connect(servers.dsn(), command_timeout=DEADLINE_S)
    await owner.execute(_BARE_TABLES)
    await add_to_ledger(owner, day.owed)
    limits = PoolLimits(connections_max=3, statement_timeout_ms=600_000)
    async with await create_pool(servers.dsn("reconciliation_worker"), limits, "bench") as pool:
        copied = least([await bare_copy(owner, day) for _ in range(ROUNDS)])
        taken = await intake(pool, content, "bank")
        await owner.execute("ANALYZE reconciliation.statement_lines")
        bare, kept = await bare_run(owner, "results"), await bare_run(owner, "kept_results")
        run, peak_mb = await whole_run(servers, pool, folder / "worker.log")
        discrepancies = await found(owner)
        chunks = await owner.fetchval("SELECT chunks_count FROM reconciliation.runs")
    await owner.close()
    seeded = {name: about for name, about in day.seeded.items() if about}
    wrong = sum(len(seeded.get(name, set()) ^ discrepancies.get(name, set())) for name in {*seeded, *discrepancies})
    rows = len(day.paid)
    report(
        "recon",
        [
            lower(f"a run of {DELIVERIES:,} deliveries", run.wall_s, "s", "one bare statement", bare.wall_s),
            Row("as a multiple of the bare statement's", run.wall_s / bare.wall_s, "x", "at most", RATIO_MAX),
            lower("its processor time", run.cpu_s, "s", "that statement's", bare.cpu_s),
            lower("the same", run.cpu_s, "s", "with the same two indexes", kept.cpu_s),
            Row("chunks", chunks, ""),
            Row("most memory of the worker", peak_mb, "MB", "at most", MEMORY_MB_MAX),
            Row("discrepancies seeded", sum(map(len, seeded.values())), ""),
            Row("missed or invented", wrong, "", "at most", 0),
            Row("rows of the statement", rows, ""),
            higher(
                "rows taken in from CSV", rows / taken.wall_s, "1/s", "bare COPY of ready rows", rows / copied.wall_s
            ),
            higher("a second of processor time", rows / taken.cpu_s, "1/s", "that COPY's", rows / copied.cpu_s),
            Row("as a share of bare COPY's", copied.cpu_s / taken.cpu_s, "x", "at least", COPY_RATIO_MIN),
        ],
    )
    assert wrong == 0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder) / "home") as servers:
        asyncio.run(measure(servers, Path(folder)))


if __name__ == "__main__":
    main()
