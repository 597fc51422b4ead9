"""Servers of the relay's own: its tests kill them, and no other relay may read their slot."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(tmp_path_factory.mktemp("relay") / "home") as started:
        yield started


@pytest.fixture
def client(servers: EmbeddedServers) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.redis_url) as made:
        yield made


@pytest.fixture
async def primary(servers: EmbeddedServers) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(servers.dsn())
    yield connection
    await connection.close()
