"""What becomes of a network's health and of its offers, by the circuits of several dispatchers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import redis.asyncio as redis

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id_text
from libs.postgres.tenancy import visible
from libs.resilience.board import BoardLimits, CircuitBoard
from libs.resilience.dependency import Dependency
from libs.resilience.limits import DependencyLimits
from services.assignment.dispatch.adapters.app import PartnerApp
from services.assignment.dispatch.health import PROCESS_PREFIX, HealthKeeper, NetworkWatch, dependency_name
from services.assignment.dispatch.network import NetworkConfig
from services.assignment.dispatch.settings import DispatchLimits
from services.assignment.networks import store as networks_store
from services.assignment.visibility import OPERATOR
from tests.consumers import until
from tests.lending import Lending

BOARD = BoardLimits(beat_ms=20, retry_ms=20, block_ms=200, redis_timeout_ms=10_000)
LIMITS = DispatchLimits()
AGAIN_S = 0.05


class Dispatcher:
    """As much of a dispatcher as knows how a network is."""

    def __init__(self, lending: Lending, client: redis.Redis) -> None:
        self.process = f"{PROCESS_PREFIX}{new_id_text()}"
        self.code = lending.code
        # Nothing is due a probe, but what the test makes.
        limits = DependencyLimits(open_ms=3_600_000)
        self.dependency = Dependency(dependency_name(lending.code), limits, lambda _: None)
        self.keeper = HealthKeeper(lending.primary, client, self.process, BOARD, AGAIN_S)
        adapter = PartnerApp(NetworkConfig(code=lending.code), 1.0)
        self.watch = NetworkWatch(lending.code, adapter, self.dependency, lending.primary, LIMITS, self.keeper)

    async def share(self) -> float:
        """What the dispatchers let through together, as this one knows it."""
        return await self.keeper.share(self.code)

    async def knows(self, share: float) -> bool:
        """Whether that is what it knows."""
        return await self.share() == share


@asynccontextmanager
async def dispatching(servers: EmbeddedServers, lending: Lending) -> AsyncIterator[Dispatcher]:
    """A dispatcher whose circuit is on the board."""
    async with redis.from_url(servers.redis_url) as client:
        made = Dispatcher(lending, client)
        board = CircuitBoard(servers.redis_url, made.process, BOARD)
        board.add(made.dependency)
        await made.keeper.add(lending.code, made.dependency)
        running = asyncio.create_task(board.run())
        try:
            yield made
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_a_dispatcher_that_alone_cannot_reach_a_network_takes_none_of_its_offers_back(
    embedded_servers: EmbeddedServers, lending: Lending
) -> None:
    lent = await lending.offer()
    async with dispatching(embedded_servers, lending) as alone, dispatching(embedded_servers, lending) as other:
        alone.dependency.open_as_told("a token of last year")
        await until(lambda: alone.knows(0.5))
        await alone.watch.look()
        await other.watch.look()
        assert (await lending.delivery(lent))["state"] == "offered"
        other.dependency.open_as_told("no answer")
        await until(lambda: alone.knows(0.0))
        await alone.watch.look()
        delivery = await lending.delivery(lent)
    assert (delivery["state"], delivery["unassigned_reason"]) == ("pending", "NETWORK_DOWN")


async def set_share(lending: Lending, share: float) -> None:
    """Write a health as a dispatcher does that dies right after."""
    async with lending.primary.acquire() as connection, visible(connection, OPERATOR):
        await networks_store.set_circuit(connection, lending.code, share, "", datetime.now(UTC))


async def share_of(lending: Lending) -> float | None:
    """What matching goes by."""
    async with lending.primary.acquire() as connection, visible(connection, OPERATOR):
        network = await networks_store.get(connection, lending.code)
    return None if network is None else network.circuit_share


async def test_what_a_dispatcher_wrote_last_before_it_died_is_put_right_by_another(
    embedded_servers: EmbeddedServers, lending: Lending
) -> None:
    async with dispatching(embedded_servers, lending) as first:
        await first.keeper.look()
        await set_share(lending, 0.0)

        async def is_right() -> bool:
            await first.keeper.look()
            return await share_of(lending) == 1.0

        await until(is_right)


async def test_without_redis_no_dispatcher_writes_over_what_another_found_out(lending: Lending) -> None:
    async with redis.from_url(f"redis://127.0.0.1:{free_ports(1)[0]}") as nobody:
        first = Dispatcher(lending, nobody)
        await first.keeper.add(lending.code, first.dependency)
        await first.keeper.look()
        await set_share(lending, 0.0)
        await asyncio.sleep(2 * AGAIN_S)
        await first.keeper.look()
    assert await share_of(lending) == 0.0


async def test_an_assignment_that_a_network_down_has_not_heard_of_is_taken_back(
    embedded_servers: EmbeddedServers, lending: Lending
) -> None:
    unheard, heard = await lending.offer(is_automatic=True), await lending.offer(is_automatic=True)
    async with lending.primary.acquire() as connection, visible(connection, OPERATOR):
        await connection.execute(
            "UPDATE assignment.network_offers SET told = 'maybe', due_at = NULL WHERE offer_id = $1", heard.offer_id
        )
    async with dispatching(embedded_servers, lending) as alone:
        alone.dependency.open_as_told("no answer")
        await alone.watch.look()
    delivery = await lending.delivery(unheard)
    assert (delivery["state"], delivery["unassigned_reason"]) == ("pending", "NETWORK_DOWN")
    assert (await lending.delivery(heard))["state"] == "assigned"


async def test_a_watch_is_woken_when_the_last_dispatcher_finds_its_network_down(
    embedded_servers: EmbeddedServers, lending: Lending
) -> None:
    async with dispatching(embedded_servers, lending) as first, dispatching(embedded_servers, lending) as second:
        first.dependency.open_as_told("no answer")
        await until(lambda: first.knows(0.5))
        await first.keeper.look()
        first.watch.changed.clear()
        second.dependency.open_as_told("no answer")
        await until(lambda: first.knows(0.0))
        await first.keeper.look()
        assert first.watch.changed.is_set()
