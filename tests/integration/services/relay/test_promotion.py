"""The primary dies and the standby is promoted: the streams have what the new primary has, no more and no less."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_messages import emit
from libs.postgres.outages import CONNECTION_LOST
from services.assignment.events import LOG_PREFIX
from tests.events import event_bytes, new_city
from tests.relays import entries, events, relaying, stream_of, until

pytestmark = pytest.mark.timeout(240)
BEFORE = 300


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A supervisor that does not start the old primary again while the test runs."""
    told = {"LASTMILE_RESTART_BACKOFF_S_MIN": "1200", "LASTMILE_RESTART_BACKOFF_S_MAX": "1200"}
    with EmbeddedServers(tmp_path_factory.mktemp("promotion") / "home", told) as started:
        yield started


async def write(connection: asyncpg.Connection, city: str, sequence: int) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO public.written VALUES ($1)", sequence)
        await emit(connection, LOG_PREFIX, [event_bytes("deliveries/1", sequence, city).decode()])


async def slot_is_on_the_standby(standby: asyncpg.Connection) -> bool:
    query = "SELECT coalesce(bool_and(synced AND NOT temporary), false) FROM pg_replication_slots"
    return bool(await standby.fetchval(query))


async def test_a_promotion_loses_nothing_and_publishes_nothing_that_was_lost(
    servers: EmbeddedServers, client: redis.Redis, tmp_path: Path
) -> None:
    city = new_city()
    primary, standby = await asyncpg.connect(servers.dsn()), await asyncpg.connect(servers.dsn(standby=True))
    await primary.execute("CREATE TABLE public.written (sequence integer PRIMARY KEY)")
    both = servers.dsn("relay").replace(
        f":{servers.settings.postgres_port}/",
        f":{servers.settings.postgres_port},{servers.settings.host}:{servers.settings.standby_port}/",
    )
    with relaying(servers, tmp_path / "relay.log", relay_dsn=f"{both}?target_session_attrs=read-write") as relay:
        await write(primary, city, 1)
        until(lambda: len(entries(client, city)) == 1)
        async with asyncio.timeout(120):
            while not await slot_is_on_the_standby(standby):
                # The slot is worth copying once it has moved on.
                await primary.execute("CHECKPOINT")
                await asyncio.sleep(0.5)
        stream, killing = stream_of(client, city), None
        sequence = 1
        with suppress(*CONNECTION_LOST):
            while True:
                sequence += 1
                await write(primary, city, sequence)
                if sequence == BEFORE:
                    async with asyncio.timeout(60):
                        while await standby.fetchval("SELECT count(*) FROM public.written") < BEFORE - 1:
                            await asyncio.sleep(0.01)
                    killing = asyncio.create_task(asyncio.to_thread(servers.kill, "postgres"))
        assert killing is not None
        await killing
        await standby.execute("SELECT pg_promote()")
        survived = [row["sequence"] for row in await standby.fetch("SELECT * FROM public.written ORDER BY 1")]
        assert len(survived) >= BEFORE - 1
        later = range(100_000, 100_050)
        for sequence in later:
            await write(standby, city, sequence)
        expected = [*survived, *later]
        until(lambda: len(entries(client, city)) >= len(expected), lambda: relay.log_text)
        assert [event.message.sequence for event in events(client, city)] == expected
        assert stream_of(client, city) == stream
    await standby.close()
