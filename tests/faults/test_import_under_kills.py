"""kill -9 of each process in the middle of an import: nothing is lost, nothing is there twice."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from libs.embedded.stack import RunningStack
from tests.import_data import write_day
from tests.invariants import broken_invariants

ORDERS, COURIERS = 4_000, 600
# Enough are in for the kill to hit the middle, and most are still to come.
KILL_AFTER_DELIVERIES = 1_000
DEADLINE_S = 120
PROCESSES = (
    "assignment-api",
    "assignment-matcher",
    "gateway",
    "postgres",
    "postgres-standby",
    "valkey",
    "supervisor",
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("killed") / "home", {"LASTMILE_SERVICES": "assignment"}) as started:
        yield started


async def count(stack: RunningStack, query: str, *arguments: object) -> int:
    connection = await asyncpg.connect(stack.dsn())
    try:
        return int(await connection.fetchval(query, *arguments))
    finally:
        await connection.close()


@pytest.mark.parametrize("name", PROCESSES)
async def test_an_import_survives_the_death_of(stack: RunningStack, tmp_path: Path, name: str) -> None:
    folder = write_day(tmp_path / name, ORDERS, COURIERS)
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    command = [sys.executable, "-m", "cli", "import", "rappi", str(folder), "--json"]
    reference = f"rappi-{name.lower()}"
    of_this_import = (
        "SELECT count(*) FROM assignment.deliveries d JOIN assignment.merchants m ON m.id = d.merchant_id"
        " WHERE m.reference = $1"
    )
    with subprocess.Popen(
        command, env=stack.environment | known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as importing:
        deadline_s = time.monotonic() + DEADLINE_S
        while (taken_in := await count(stack, of_this_import, reference)) < KILL_AFTER_DELIVERIES:
            assert importing.poll() is None, importing.communicate()
            assert time.monotonic() < deadline_s
        stack.kill(name, signal.SIGKILL)
        assert taken_in < ORDERS, "the kill came too late to be in the middle"
        if name == "supervisor":
            stack.start()
        output, errors = await asyncio.to_thread(importing.communicate, timeout=DEADLINE_S)
    assert importing.returncode == 0, errors
    summary = json.loads(output)
    assert summary["deliveries"] == {"read": ORDERS, "created": ORDERS, "there_already": 0, "refused": 0}
    assert summary["partners"]["created"] == COURIERS
    assert summary["undecided"] == 0
    assert await count(stack, of_this_import, reference) == ORDERS
    # The creation of each is in its history once, and once in the write-ahead log's transaction.
    created = (
        "SELECT count(*) FROM assignment.delivery_changes c JOIN assignment.deliveries d ON d.id = c.delivery_id"
        " JOIN assignment.merchants m ON m.id = d.merchant_id WHERE m.reference = $1 AND c.from_state IS NULL"
    )
    assert await count(stack, created, reference) == ORDERS
    assert not await broken_invariants(stack.dsn())
    stack.wait_ready()
