"""Pictures on the real servers: fed by events, made anew when some are lost, compared with the database and mended."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import delivery_pb2, merchant_pb2, network_pb2, partner_pb2

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from libs.streams.names import EPOCHS, FIELD, StreamName
from tests.assignment_api import AssignmentApi, Caller, profile, until
from tests.pictures import QUICK, Followed
from tests.relays import RelayProcess

pytestmark = pytest.mark.usefixtures("relay")


@pytest.fixture
async def pool(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    async with await create_pool(embedded_servers.dsn("assignment_matcher"), PoolLimits(), "test-picture") as made:
        yield made


Follow = Callable[..., Any]


@pytest.fixture
def follow(pool: asyncpg.Pool, embedded_servers: EmbeddedServers) -> Follow:
    @asynccontextmanager
    async def follow(city_code: str, **limits: Any) -> AsyncIterator[Followed]:
        async with redis.from_url(embedded_servers.redis_url, socket_timeout=5) as client:
            followed, stop = Followed(pool, client, city_code, QUICK.model_copy(update=limits)), asyncio.Event()
            works: list[Awaitable[None]] = [followed.follower.run(stop), followed.company_follower.run(stop)]
            tasks = [asyncio.ensure_future(work) for work in (*works, followed.watch_lag())]
            await asyncio.wait_for(followed.keeper.ready.wait(), 20)
            yield followed
            stop.set()
            tasks[-1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return follow


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def test_what_changes_is_in_the_picture_without_a_read(ops: Caller, follow: Follow, pool: asyncpg.Pool) -> None:
    city, elsewhere, merchant = await ops.city(), await ops.city(), await ops.merchant()
    async with follow(city) as followed:
        await followed.settled()
        picture = followed.keeper.picture
        stays, moves = UUID(await ops.partner(city)), UUID(await ops.partner(city))
        kept, cancelled = UUID(await ops.delivery(city, merchant)), UUID(await ops.delivery(city, merchant))
        await ops.ask(
            ops.partners.UpdatePartner,
            partner_pb2.UpdatePartnerRequest(partner_id=str(moves), profile=profile(elsewhere)),
        )
        await ops.ask(
            ops.partners.SetAvailability,
            partner_pb2.SetAvailabilityRequest(partner_id=str(stays), availability=partner_pb2.AVAILABILITY_OFFLINE),
        )
        await ops.ask(ops.deliveries.CancelDelivery, delivery_pb2.CancelDeliveryRequest(delivery_id=str(cancelled)))
        await followed.settled()
        assert followed.keeper.picture is picture
        assert followed.rebuilds == ["start"]
        assert set(picture.partners.row_of) == {stays}
        assert picture.partners.get(stays).availability == "offline"  # type: ignore[union-attr]  # it is there
        assert set(picture.deliveries) == {kept}


async def test_lists_and_networks_come_by_events_too(ops: Caller, follow: Follow) -> None:
    city, merchant = await ops.city(), UUID(await ops.merchant())
    partner = await ops.partner(city)
    async with follow(city) as followed:
        await followed.company.know_lists({merchant})
        company = followed.company.company
        assert company.lists[merchant].version == 0
        request = merchant_pb2.SetMerchantPartnersRequest(merchant_id=str(merchant), denied_partner_ids=[partner])
        await ops.ask(ops.merchants.SetMerchantPartners, request)
        network = f"net-{city.lower()}"
        await ops.ask(
            ops.networks.SetNetworkHealth, network_pb2.SetNetworkHealthRequest(network_code=network, health=0.25)
        )

        async def told() -> bool:
            return company.lists[merchant].denied == (UUID(partner),) and company.health(network) == 0.25

        await until(told)


async def stream_name(client: redis.Redis, city: str) -> str:
    epochs: Any = await client.smembers(EPOCHS)
    return str(StreamName(city, max(map(int, epochs))))


@pytest.mark.parametrize("harm", ["trimmed", "deleted", "gone"])
async def test_lost_events_make_a_new_picture(
    ops: Caller, follow: Follow, redis_client: redis.Redis, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    name = await stream_name(redis_client, city)

    async def opened() -> Any:
        return await redis_client.xlen(name)

    await until(opened)
    async with follow(city) as followed:
        stream, waits, hold = followed.follower.stream, asyncio.Event(), asyncio.Event()
        read = stream.read

        async def held(wait_ms: int, most: int) -> Any:
            waits.set()
            await hold.wait()
            return await read(wait_ms, most)

        await followed.settled()
        monkeypatch.setattr(stream, "read", held)
        await waits.wait()
        delivery = UUID(await ops.delivery(city, merchant))
        await until(lambda: _longer(redis_client, name, 1))
        if harm == "trimmed":
            await redis_client.xtrim(name, maxlen=0, approximate=False)
        elif harm == "deleted":
            last: Any = await redis_client.xrevrange(name, count=1)
            await redis_client.xdel(name, last[0][0])
        else:
            await redis_client.delete(name)
        hold.set()
        await followed.settled()
        assert followed.rebuilds == ["start", "lost"]
        assert delivery in followed.keeper.picture.deliveries


async def _longer(client: redis.Redis, name: str, than: int) -> bool:
    return bool(await client.xlen(name) > than)


async def test_a_new_epoch_makes_a_new_picture(ops: Caller, follow: Follow, redis_client: redis.Redis) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    async with follow(city) as followed:
        await followed.settled()
        epochs: Any = await redis_client.smembers(EPOCHS)
        later = max(map(int, epochs)) + 1
        await redis_client.sadd(EPOCHS, later)
        try:

            async def made_anew() -> bool:
                return followed.rebuilds[-1] == "lost"

            await until(made_anew)
        finally:
            await redis_client.srem(EPOCHS, later)
        await ops.delivery(city, merchant)
        await followed.settled()


async def test_without_any_stream_the_database_is_read_again_and_again(
    ops: Caller, follow: Follow, redis_client: redis.Redis
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    epochs: Any = await redis_client.smembers(EPOCHS)
    await redis_client.delete(EPOCHS)
    try:
        async with follow(city) as followed:
            assert not followed.follower.hears_events
            await ops.delivery(city, merchant)
            await followed.settled()
            assert "no events" in followed.rebuilds
            await redis_client.sadd(EPOCHS, *epochs)

            async def hears() -> bool:
                return followed.follower.hears_events

            await until(hears)
    finally:
        await redis_client.sadd(EPOCHS, *epochs)


async def test_what_nobody_publishes_is_found_in_the_database(ops: Caller, follow: Follow, relay: RelayProcess) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    async with follow(city, lag_s_max=0.3) as followed:
        relay.send(signal.SIGSTOP)
        try:
            delivery = UUID(await ops.delivery(city, merchant))
            await followed.settled()
            assert delivery in followed.keeper.picture.deliveries
            assert "lag" in followed.rebuilds
        finally:
            relay.send(signal.SIGCONT)


async def test_drift_is_counted_by_kind_and_mended(
    ops: Caller, follow: Follow, embedded_servers: EmbeddedServers, caplog: pytest.LogCaptureFixture
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    partners = [UUID(await ops.partner(city)) for _ in range(2)]
    deliveries = [UUID(await ops.delivery(city, merchant)) for _ in range(4)]
    async with follow(city) as followed:
        await followed.settled()
        assert not await followed.reconciler.compare()
        owner = await asyncpg.connect(embedded_servers.dsn())
        # By hand, and so without events: the same version with another content, and versions that nobody told of.
        await owner.execute("UPDATE assignment.partners SET rating = 1.5 WHERE id = $1", partners[0])
        await owner.execute(
            "UPDATE assignment.partners SET availability = 'offline', version = 2 WHERE id = $1", partners[1]
        )
        await owner.execute("UPDATE assignment.deliveries SET weight_g = 77 WHERE id = $1", deliveries[0])
        await owner.execute(
            "UPDATE assignment.deliveries SET state = 'cancelled', version = 2 WHERE id = $1", deliveries[1]
        )
        await owner.close()
        # A commit of this matcher that the promotion of a standby has lost.
        picture = followed.keeper.picture
        picture.put_delivery(replace(picture.deliveries[deliveries[3]], version=2, match_attempts=7))
        # The slot moves on with what is committed and told.
        noise = asyncio.create_task(_noise(ops, merchant))
        with caplog.at_level(logging.ERROR, "matcher"):
            found = await followed.reconciler.compare()
        noise.cancel()
        assert found == {
            "partner differs": 1,
            "partner missed": 1,
            "delivery differs": 1,
            "delivery missed": 1,
            "delivery ahead": 1,
        }
        shown = [record.ids for record in caplog.records if record.message == "the picture had drifted"]
        assert sorted(identifier for ids in shown for identifier in ids) == sorted(
            map(str, [*partners, *deliveries[:2], deliveries[3]])
        )
        assert not await followed.differs()
        assert not await followed.reconciler.compare()


async def _noise(ops: Caller, merchant: str) -> None:
    city = await ops.city()
    while True:
        await ops.delivery(city, merchant)
        await asyncio.sleep(0.1)


async def test_an_event_that_cannot_be_read_stops_nothing_and_what_it_told_is_found(
    ops: Caller, follow: Follow, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    async with follow(city) as followed:
        await followed.settled()
        with caplog.at_level(logging.ERROR, "matcher"):
            name = await stream_name(redis_client, city)

            async def is_published() -> bool:
                return bool(await redis_client.xlen(name))

            await until(is_published)
            newest: Any = (await redis_client.xinfo_stream(name))["last-generated-id"]
            lsn, _, _ = newest.decode().partition("-")
            # Right behind the newest: what the relay appends next lies far above.
            await redis_client.xadd(name, {FIELD: b"nonsense"}, id=f"{lsn}-999")
            await ops.delivery(city, merchant)
            await followed.settled()
        assert "undecodable event" in [record.message for record in caplog.records]
        assert followed.rebuilds == ["start"]


async def test_a_picture_follows_a_busy_city_without_a_miss(assignment_api: AssignmentApi, follow: Follow) -> None:
    ops = assignment_api.ops
    city, merchant = await ops.city(), await ops.merchant()
    async with follow(city) as followed:

        async def busy(count: int) -> None:
            for _ in range(count):
                partner = await ops.partner(city)
                await ops.ask(
                    ops.partners.SetAvailability,
                    partner_pb2.SetAvailabilityRequest(
                        partner_id=partner, availability=partner_pb2.AVAILABILITY_OFFLINE
                    ),
                )
                await ops.delivery(city, merchant)

        await asyncio.gather(*(busy(10) for _ in range(4)))
        await followed.settled()
        assert followed.rebuilds == ["start"]
        assert len(followed.keeper.picture.deliveries) == len(followed.keeper.picture.partners) == 40
        assert not await followed.reconciler.compare()
