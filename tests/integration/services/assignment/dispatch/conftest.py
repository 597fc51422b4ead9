"""A network, whose offers are made without a matcher."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from tests.lending import Lending


@pytest.fixture
async def lending(embedded_servers: EmbeddedServers) -> AsyncIterator[Lending]:
    """A network of the test's own."""
    pool = await create_pool(embedded_servers.dsn("assignment_api"), PoolLimits(connections_max=8), "test")
    async with pool:
        made = Lending(pool)
        running = asyncio.create_task(made.writer.run())
        try:
            yield made
        finally:
            await made.writer.close()
            await running
