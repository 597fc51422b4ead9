"""A client, a city with a writer, and a group of each test's own."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.streams.names import EPOCHS, GROUPS, STREAMS
from libs.streams.run import connect
from tests.consumers import QUICK
from tests.events import Writer, new_city


@pytest.fixture
async def client(embedded_servers: EmbeddedServers) -> AsyncIterator[redis.Redis]:
    async with connect(embedded_servers.redis_url, QUICK) as made:
        await made.delete(STREAMS, GROUPS, EPOCHS)
        yield made
        await made.delete(STREAMS, GROUPS, EPOCHS)


@pytest.fixture
def writer(client: redis.Redis) -> Writer:
    return Writer(client, new_city())


@pytest.fixture
def group() -> str:
    return f"g_{new_city().lower()}"
