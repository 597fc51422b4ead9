"""Effects once: an event's id is taken by the transaction that commits first, and free again when it rolls back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.ids import floor_at, new_id_text
from libs.postgres.seen import forget_seen, unseen
from tests.newcomer import make_tables


@pytest.fixture
async def pool(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    await make_tables(embedded_servers)
    async with asyncpg.create_pool(embedded_servers.dsn("assignment_api"), min_size=2) as made:
        yield made


async def see(pool: asyncpg.Pool, consumer: str, ids: list[str]) -> set[str]:
    async with pool.acquire() as connection, connection.transaction():
        return await unseen(connection, "public", consumer, ids)


async def test_an_id_is_new_once_for_each_consumer(pool: asyncpg.Pool) -> None:
    ids = [new_id_text() for _ in range(3)]
    assert await see(pool, "one", [*ids, ids[0]]) == set(ids)
    assert await see(pool, "one", ids) == set()
    assert await see(pool, "two", ids) == set(ids)
    assert await see(pool, "one", []) == set()


async def test_what_is_rolled_back_was_not_seen(pool: asyncpg.Pool) -> None:
    ids = [new_id_text()]
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await unseen(connection, "public", "one", ids) == set(ids)
        await transaction.rollback()
    assert await see(pool, "one", ids) == set(ids)


async def test_of_two_at_once_one_waits_for_the_other_whatever_their_order(pool: asyncpg.Pool) -> None:
    ids = [new_id_text() for _ in range(50)]
    found = await asyncio.gather(see(pool, "one", ids), see(pool, "one", ids[::-1]))
    assert sorted(map(len, found)) == [0, 50]


async def test_old_ids_are_forgotten(embedded_servers: EmbeddedServers, pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    old, fresh = str(floor_at(now - timedelta(days=9))), new_id_text()
    await see(pool, "one", [old, fresh])
    connection = await asyncpg.connect(embedded_servers.dsn())
    await forget_seen(connection, "public", "one", now - timedelta(days=7))
    await connection.close()
    assert await see(pool, "one", [old, fresh]) == {old}
