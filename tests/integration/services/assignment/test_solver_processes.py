"""Windows that are solved by several processes: the same work done, whatever becomes of the processes."""

import asyncio
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import partner_pb2

from libs.embedded.stack import EmbeddedServers, free_ports
from libs.postgres.pool import PoolLimits, create_pool
from services.assignment.cities import store as cities_store
from services.assignment.partners.positions import PositionBook, PositionLimits
from services.assignment.windows.matcher import run_matcher
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.solvers import SolverProcesses
from services.assignment.windows.store import WindowRow
from services.assignment.windows.window import WindowRunner
from tests.assignment_api import AssignmentApi, Caller, capacity, details, place
from tests.integration.services.assignment.conftest import keeper_of, lease
from tests.solver_processes import send, share_every_component, solver_pids, wait_until

# Too far apart for one partner to serve two of them: each is a component of its own.
QUARTERS = [(12.80 + 0.12 * step, 77.59) for step in range(3)]


@pytest.fixture(autouse=True)
def _small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    share_every_component(monkeypatch)


@pytest.fixture
async def pool(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    async with await create_pool(embedded_servers.dsn("assignment_matcher"), PoolLimits(), "test-solvers") as made:
        yield made


def settings_of(servers: EmbeddedServers) -> MatcherSettings:
    return MatcherSettings(
        matcher_port=free_ports(1)[0],
        matcher_metrics_port=free_ports(1)[0],
        matcher_dsn=servers.dsn("assignment_matcher"),
        redis_url=servers.redis_url,
        matcher_lease_renew_s=0.1,
        matcher_tick_ms=20,
        matcher_solver_processes=2,
        matcher_solver_pairs_min=1,
        matcher_bundle_parcels_max=1,
    )


async def contended(ops: Caller, city: str, merchant: str) -> list[str]:
    """In each quarter one partner with room for one parcel, and two deliveries that want it; return the deliveries."""
    rows = []
    for where in QUARTERS:
        room, takes = capacity(1), partner_pb2.ACCEPTANCE_AUTOMATIC
        await ops.partner(city, home=place(*where), capacity=room, acceptance=takes)
        rows += [details(city, merchant, pickup=place(*where), drop=place(*where)) for _ in range(2)]
    return await ops.many_deliveries(rows)


async def test_a_window_whose_solver_processes_are_killed_meanwhile_completes(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers, pool: asyncpg.Pool, redis_client: redis.Redis
) -> None:
    ops = assignment_api.ops
    city_code, merchant = await ops.city(), await ops.merchant()
    held, _ = await lease(embedded_servers, city_code)
    async with pool.acquire() as connection:
        city = next(c for c in await cities_store.every(connection) if c.code == city_code)
    with SolverProcesses(2) as solvers:
        positions = PositionBook(redis_client, PositionLimits())
        runner = WindowRunner(pool, positions, settings_of(embedded_servers), solvers)

        async def window() -> WindowRow | None:
            await contended(ops, city_code, merchant)
            return await runner.run(city, held, await keeper_of(pool, city_code))

        first = await window()
        killed = solver_pids()
        assert killed, "the first large window starts them"
        # Stopped, they keep the window waiting until they die.
        send(killed, signal.SIGSTOP)
        second = asyncio.create_task(window())
        await asyncio.to_thread(wait_until, lambda: solvers.waiting)
        assert not second.done()
        send(killed, signal.SIGKILL)
        third = (await second, await window())
    made = [row for row in (first, *third) if row is not None]
    assert [(row.assigned, row.conflicts) for row in made] == [(len(QUARTERS), 0)] * 3
    assert solvers.deaths == 1


async def test_a_matcher_starts_them_for_its_first_large_window_and_ends_them_when_it_drains(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers
) -> None:
    ops, stop = assignment_api.ops, asyncio.Event()
    running = asyncio.create_task(run_matcher(settings_of(embedded_servers), stop))
    try:
        city, merchant = await ops.city(window_ms=600_000, window_deliveries_max=6), await ops.merchant()
        assert solver_pids() == []
        deliveries = await contended(ops, city, merchant)
        await asyncio.to_thread(wait_until, solver_pids)
    finally:
        stop.set()
        await running
    assert solver_pids() == []
    states = [(await ops.get(delivery)).unassigned_reason for delivery in deliveries]
    assert sorted(states) == [""] * len(QUARTERS) + ["OUTCOMPETED"] * len(QUARTERS)
