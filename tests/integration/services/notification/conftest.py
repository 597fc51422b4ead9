"""The notification service's tables on the real servers, empty before each test: a sender takes whatever is due."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from tests.notifications import Notifications, notifications_on
from tests.texts import close_opened


@pytest.fixture(scope="module")
async def on_servers(embedded_servers: EmbeddedServers) -> AsyncIterator[Notifications]:
    async with notifications_on(embedded_servers) as made:
        yield made


@pytest.fixture
async def notifications(on_servers: Notifications, embedded_servers: EmbeddedServers) -> AsyncIterator[Notifications]:
    owner = await asyncpg.connect(embedded_servers.dsn())
    await owner.execute("TRUNCATE notification.messages, notification.attempts, notification.suppressions")
    await owner.close()
    yield on_servers
    await close_opened()
