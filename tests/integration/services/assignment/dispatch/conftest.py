"""A network, whose offers are made without a matcher."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.assignment.deliveries.writer import DeliveryWriter, WriterLimits
from services.assignment.offers.codec import moved_event
from tests.lending import Lending


@pytest.fixture
async def lending(embedded_servers: EmbeddedServers) -> AsyncIterator[Lending]:
    """A network of the test's own."""
    pool = await create_pool(embedded_servers.dsn("assignment_api"), PoolLimits(connections_max=8), "test")
    async with pool:
        writer = DeliveryWriter(pool, WriterLimits(), moved_event)
        running = asyncio.create_task(writer.run())
        try:
            yield Lending(pool, writer)
        finally:
            await writer.close()
            await running
