"""What a picture does not know yet costs a conflict, is read again, and never breaks a promise."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import delivery_pb2, merchant_pb2, network_pb2, partner_pb2

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.assignment.cities import store as cities_store
from services.assignment.partners.positions import PositionBook, PositionLimits
from services.assignment.picture.keeper import CityKeeper
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.store import WindowRow
from services.assignment.windows.window import WindowRunner
from tests.assignment_api import AssignmentApi, Caller, capacity, profile
from tests.integration.services.assignment.conftest import all_due, keeper_of, lease


class Stage:
    """A city with one partner and one delivery, and a picture of them that no event reaches."""

    def __init__(self, ops: Caller, pool: asyncpg.Pool, runner: WindowRunner, servers: EmbeddedServers) -> None:
        self.ops, self.pool, self._runner, self._servers = ops, pool, runner, servers
        self.city = self.merchant = self.partner = self.delivery = self.network = ""
        self.keeper: CityKeeper

    async def set_up(self) -> None:
        self.city, self.merchant = await self.ops.city(), await self.ops.merchant()
        self.network = f"lent-{self.city.lower()}"
        self.partner = await self.ops.partner(self.city, capacity=capacity(1), network_code=self.network)
        self.delivery = await self.ops.delivery(self.city, self.merchant)
        self.keeper = await keeper_of(self.pool, self.city)
        await self.keeper.company.know_lists({UUID(self.merchant)})
        self._held, _ = await lease(self._servers, self.city)

    async def window(self) -> tuple[int, int] | None:
        """Run one; return how many it assigned, and its conflicts."""
        async with self.pool.acquire() as connection:
            city = next(c for c in await cities_store.every(connection) if c.code == self.city)
        await all_due(self.keeper)
        made: WindowRow | None = await self._runner.run(city, self._held, self.keeper)
        return None if made is None else (made.assigned, made.conflicts)

    async def said(self) -> str | None:
        query = "SELECT unassigned_reason FROM assignment.deliveries WHERE id = $1"
        found: str | None = await self.pool.fetchval(query, UUID(self.delivery))
        return found


@pytest.fixture
async def stage(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers, redis_client: redis.Redis
) -> AsyncIterator[Stage]:
    settings = MatcherSettings(
        matcher_dsn=embedded_servers.dsn("assignment_matcher"),
        redis_url=embedded_servers.redis_url,
        matcher_retry_s_min=0.001,
        matcher_retry_s_max=0.001,
    )
    async with await create_pool(str(settings.matcher_dsn), PoolLimits(), "test-stale") as pool:
        runner = WindowRunner(pool, PositionBook(redis_client, PositionLimits()), settings)
        made = Stage(assignment_api.ops, pool, runner, embedded_servers)
        await made.set_up()
        yield made


async def went_offline(stage: Stage) -> None:
    request = partner_pb2.SetAvailabilityRequest(
        partner_id=stage.partner, availability=partner_pb2.AVAILABILITY_OFFLINE
    )
    await stage.ops.ask(stage.ops.partners.SetAvailability, request)


async def got_a_smaller_bag(stage: Stage) -> None:
    smaller = profile(stage.city, capacity=capacity(1, weight_g=1_000))
    request = partner_pb2.UpdatePartnerRequest(partner_id=stage.partner, profile=smaller)
    await stage.ops.ask(stage.ops.partners.UpdatePartner, request)


async def moved_away(stage: Stage) -> None:
    elsewhere = profile(await stage.ops.city(), capacity=capacity(1))
    request = partner_pb2.UpdatePartnerRequest(partner_id=stage.partner, profile=elsewhere)
    await stage.ops.ask(stage.ops.partners.UpdatePartner, request)


async def was_denied(stage: Stage) -> None:
    request = merchant_pb2.SetMerchantPartnersRequest(merchant_id=stage.merchant, denied_partner_ids=[stage.partner])
    await stage.ops.ask(stage.ops.merchants.SetMerchantPartners, request)


async def lost_its_network(stage: Stage) -> None:
    request = network_pb2.SetNetworkHealthRequest(network_code=stage.network, health=0.0)
    await stage.ops.ask(stage.ops.networks.SetNetworkHealth, request)


@pytest.mark.parametrize(
    ("change", "conflict", "reason"),
    [
        (went_offline, "PARTNER_OFFLINE", "OFFLINE"),
        (got_a_smaller_bag, "PARTNER_CHANGED", "TOO_HEAVY"),
        (moved_away, "PARTNER_CHANGED", "NO_PARTNERS"),
        (was_denied, "MERCHANT_CHANGED", "MERCHANT_REFUSES"),
        (lost_its_network, "NETWORK_DOWN", "NETWORK_DOWN"),
    ],
)
async def test_a_partner_that_does_not_fit_any_more_is_not_given_the_delivery(
    stage: Stage, change: Callable[[Stage], Awaitable[None]], conflict: str, reason: str
) -> None:
    await change(stage)
    assert await stage.window() == (0, 1)
    assert await stage.said() == conflict
    assert await stage.window() == (0, 0)
    assert await stage.said() == reason


async def test_a_delivery_that_was_cancelled_is_found_out_and_forgotten(stage: Stage) -> None:
    request = delivery_pb2.CancelDeliveryRequest(delivery_id=stage.delivery)
    await stage.ops.ask(stage.ops.deliveries.CancelDelivery, request)
    assert await stage.window() == (0, 1)
    assert not stage.keeper.picture.deliveries
    assert await stage.window() is None


async def test_what_a_window_commits_is_in_its_picture_at_once(stage: Stage) -> None:
    waits = await stage.ops.delivery(stage.city, stage.merchant)
    await stage.keeper.rebuild("test")
    assert await stage.window() == (1, 0)
    picture = stage.keeper.picture
    assert picture.partners.load(UUID(stage.partner)).parcels == 1
    assert len(picture.expiring) == len(picture.pending) == 1
    (left,) = [live for live in picture.deliveries.values() if live.offer is None]
    assert left.match_attempts == 1
    assert str(left.id) in {waits, stage.delivery}
