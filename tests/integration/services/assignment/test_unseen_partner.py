"""An event may be published before any read shows its commit."""

import asyncio

import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from libs.streams.names import EPOCHS, FIELD, StreamName
from services.assignment.partners.codec import changed_event
from tests.assignment_api import AssignmentApi, until
from tests.events import new_city
from tests.pictures import QUICK, Followed
from tests.unit.services.assignment.picture.history import partner_of


@pytest.mark.usefixtures("relay")
async def test_a_partner_whose_commit_cannot_be_seen_yet_is_in_the_picture(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers
) -> None:
    # Something has been published, and nothing of this city.
    await assignment_api.ops.city()
    city = new_city()
    unseen, stop = partner_of(city, version=1), asyncio.Event()
    async with (
        await create_pool(embedded_servers.dsn("assignment_matcher"), PoolLimits(), "test-unseen") as pool,
        redis.from_url(embedded_servers.redis_url, socket_timeout=5) as client,
    ):

        async def epochs() -> set[bytes]:
            found: set[bytes] = await client.smembers(EPOCHS)
            return found

        name = StreamName(city, max(map(int, await until(epochs))))
        await client.xadd(str(name), {FIELD: changed_event(unseen, "")}, id="1-0")
        followed = Followed(pool, client, city, QUICK)

        async def known() -> bool:
            return followed.keeper.picture.partners.get(unseen.id) is not None

        following = asyncio.create_task(followed.follower.run(stop))
        try:
            await until(known)
        finally:
            stop.set()
            await following
