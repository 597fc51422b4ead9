"""A dispatcher as it runs in production, and networks that do one thing well and another not."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cli.sandbox.http_server import Reply, Request, serving
from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.postgres.tenancy import visible
from services.assignment.dispatch.dispatcher import run_dispatcher
from services.assignment.dispatch.settings import DispatcherSettings, DispatchLimits
from services.assignment.networks import store as networks_store
from services.assignment.visibility import OPERATOR
from tests.consumers import until
from tests.lending import Lending, Lent

QUICK = DispatchLimits(look_ms=20, retry_ms_min=50, retry_ms_max=50, health_look_ms=50)
NO_UPDATES = b'{"updates": [], "cursor": "0"}'


class Network:
    """A network that answers each path with a status; paths that are not named are well."""

    def __init__(self, statuses: Mapping[str, int]) -> None:
        self.statuses = dict(statuses)
        self.asked: list[str] = []

    async def answer(self, request: Request) -> Reply:
        """Answer one request."""
        self.asked.append(request.path)
        return Reply(self.statuses.get(request.path, 200), NO_UPDATES)


@asynccontextmanager
async def dispatching(
    servers: EmbeddedServers, lending: Lending, network: Network, folder: Path, **config: object
) -> AsyncIterator[None]:
    """A dispatcher of one network."""
    async with serving(network.answer, "127.0.0.1", 0) as port:
        known = {
            "code": lending.code,
            "base_url": f"http://127.0.0.1:{port}",
            "limits": {"attempts_max": 1, "open_ms": 100, "return_ms": 0},
            "health_ms": 50,
        }
        networks_file = folder / "networks.json"
        networks_file.write_text(json.dumps([known | config]))
        ports = free_ports(2)
        settings = DispatcherSettings(
            dispatcher_port=ports[0],
            dispatcher_metrics_port=ports[1],
            assignment_dsn=servers.dsn("assignment_api"),
            redis_url=servers.redis_url,
            networks_file=networks_file,
            dispatcher_limits=QUICK,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(run_dispatcher(settings, stop))
        try:
            yield
        finally:
            stop.set()
            await running


async def health(lending: Lending) -> float | None:
    """What matching goes by."""
    async with lending.primary.acquire() as connection, visible(connection, OPERATOR):
        network = await networks_store.get(connection, lending.code)
    return None if network is None else network.health


async def test_a_network_that_takes_no_offers_is_down_however_well_it_is_polled(
    embedded_servers: EmbeddedServers, lending: Lending, tmp_path: Path
) -> None:
    await lending.offer()
    network = Network({"/offers": 500, "/health": 500})
    async with dispatching(embedded_servers, lending, network, tmp_path, poll_ms=10):
        await until(lambda: network.asked.count("/offers") >= 10 or "/health" in network.asked)
        await until(lambda: _is_down(lending))
        assert network.asked.count("/updates") >= 5


async def test_a_network_that_cannot_be_polled_takes_offers_and_is_polled_again_when_it_is_well(
    embedded_servers: EmbeddedServers, lending: Lending, tmp_path: Path
) -> None:
    network = Network({"/updates": 500})
    async with dispatching(embedded_servers, lending, network, tmp_path, poll_ms=10):
        await until(lambda: network.asked.count("/updates") >= 7)
        lent = await lending.offer()
        await until(lambda: _is_told(lending, lent))
        assert await health(lending) == 1.0
        network.statuses.clear()
        asked = len(network.asked)
        await until(lambda: network.asked[asked:].count("/updates") >= 20)
    assert "/health" not in network.asked


async def _is_down(lending: Lending) -> bool:
    return await health(lending) == 0.0


async def _is_told(lending: Lending, lent: Lent) -> bool:
    return bool((await lending.network_offer(lent))["told"] == "offer")
