"""Workers killed at random points of closing a cycle: its lines and statements are byte-identical to an undisturbed
one's.

`LASTMILE_SETTLEMENT_KILLS=100 LASTMILE_SETTLEMENT_ROWS=100000` asks for more.
"""

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.reconciliation.settlements.closing.closer import Closer
from services.reconciliation.settlements.limits import SettlementLimits
from services.reconciliation.settlements.opening import open_now
from tests.invariants import broken_invariants
from tests.recon import NOW, START, add_to_ledger, day_of
from tests.recon_tables import SETTLEMENTS

SEED = 9
KILLS = int(os.environ.get("LASTMILE_SETTLEMENT_KILLS", "5"))
ROWS = int(os.environ.get("LASTMILE_SETTLEMENT_ROWS", "3000"))
WORKERS = 1
DEADLINE_S = 60.0 + 5 * KILLS
PIECES = {"entries_piece": ROWS // 50, "partners_piece": ROWS // 350, "parties_piece": ROWS // 350}
LIMITS = SettlementLimits.model_validate({"cycle": "never", "settle_s": 0, **PIECES})
_OPEN = "SELECT state || position FROM reconciliation.settlement_cycles WHERE closed_at IS NULL"
_CONTENT = (
    "SELECT * FROM reconciliation.settlement_lines ORDER BY entry_id, party",
    "SELECT * FROM reconciliation.settlement_statements ORDER BY cycle_no, party",
    "SELECT * FROM reconciliation.settlement_top_ups ORDER BY entry_id",
)


class SettlementWorker:
    """`python -m services.reconciliation worker` that closes what others open."""

    def __init__(self, servers: EmbeddedServers, log: Path) -> None:
        ports = free_ports(2)
        told = {
            "reconciliation_worker_port": str(ports[0]),
            "reconciliation_worker_metrics_port": str(ports[1]),
            "reconciliation_worker_dsn": servers.dsn("reconciliation_worker"),
            "reconciliation_worker__schedule": "never",
            "reconciliation_settlements__cycle": "never",
            "reconciliation_settlements__poll_s": "0.05",
        } | {f"reconciliation_settlements__{name}": str(value) for name, value in PIECES.items()}
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
    with EmbeddedServers(tmp_path_factory.mktemp("killed-settlement") / "home") as started:
        yield started


async def prepare(owner: asyncpg.Connection) -> None:
    """A week of entries, and every partner on duty for some hours that earn less than is guaranteed."""
    owed = day_of(ROWS, SEED).owed
    await add_to_ledger(owner, owed)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("UPDATE reconciliation.rate_cards SET terms = '{\"guarantee_paise_per_h\": 5001}'")
    await owner.execute("RESET session_replication_role")
    await owner.execute(
        "INSERT INTO reconciliation.partner_versions (partner_id, version, event_id, vehicle, network_code, changed_at,"
        " city_code, on_duty) SELECT partner_id, version, md5(partner_id::text || version)::uuid, 'motorcycle', '',"
        " $2::timestamptz + version * interval '19001 seconds', 'BLR',"
        " CASE WHEN version = 1 THEN '{(,)}' ELSE '{}' END::tstzmultirange"
        " FROM unnest($1::uuid[]) AS p (partner_id) CROSS JOIN generate_series(1, 2) AS version",
        sorted({one.partner_id for one in owed}), START,
    )  # fmt: skip


async def opened(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await open_now(connection, LIMITS, "", "test", NOW + timedelta(days=1))


async def content(owner: asyncpg.Connection) -> list[str]:
    """The hash of every byte that closing leaves behind."""
    found = []
    for query in _CONTENT:
        digest = hashlib.sha256()

        async def add(data: bytes, digest: "hashlib._Hash" = digest) -> None:
            digest.update(data)

        await owner.copy_from_query(query, output=add)
        found.append(digest.hexdigest())
    return found


async def forget(owner: asyncpg.Connection) -> None:
    """Take back all that closing has made."""
    await owner.execute("SET session_replication_role = replica")
    for table, column in (("postings", "entry_id"), ("entries", "id")):
        await owner.execute(
            f"DELETE FROM reconciliation.{table} WHERE {column} IN"
            " (SELECT entry_id FROM reconciliation.settlement_top_ups)"
        )
    await owner.execute(f"TRUNCATE {', '.join(f'reconciliation.{table}' for table in SETTLEMENTS)}")
    await owner.execute("RESET session_replication_role")


async def killed_closing(owner: asyncpg.Connection, workers: list[SettlementWorker], chance: random.Random) -> int:
    """Kill workers at random points until the cycle is closed; return how many were killed."""
    kills, moves, seen = 0, chance.randint(1, 5), ""
    async with asyncio.timeout(DEADLINE_S):
        while (now := await owner.fetchval(_OPEN)) is not None:
            moves -= now != seen
            seen = now
            if moves <= 0 and kills < KILLS:
                await asyncio.sleep(chance.random() * 0.02)
                for worker in workers:
                    worker.end(signal.SIGKILL)
                    worker.start()
                kills, moves = kills + 1, chance.randint(1, 12)
            await asyncio.sleep(0.003)
    return kills


async def test_a_cycle_is_closed_to_the_same_bytes_whoever_is_killed_when(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    owner = await asyncpg.connect(servers.dsn(), command_timeout=DEADLINE_S)
    limits = PoolLimits(connections_max=2, statement_timeout_ms=60_000)
    async with await create_pool(servers.dsn("reconciliation_worker"), limits, "test") as pool:
        await prepare(owner)
        await opened(pool)
        alone = Closer(pool, LIMITS)
        while await alone.work_once():
            pass
        undisturbed = await content(owner)
        topped_up = await owner.fetchval("SELECT count(*) FROM reconciliation.settlement_top_ups")
        assert topped_up > 0
        assert await broken_invariants(servers.dsn(), "reconciliation") == {}
        await forget(owner)
        await opened(pool)
        workers = [SettlementWorker(servers, tmp_path / f"worker-{number}.log") for number in range(WORKERS)]
        try:
            kills = await killed_closing(owner, workers, random.Random(SEED))
        finally:
            for worker in workers:
                worker.end(signal.SIGTERM)
    assert kills > 0
    assert await content(owner) == undisturbed
    assert await broken_invariants(servers.dsn(), "reconciliation") == {}
    await owner.close()
