"""The relay on real servers: what is committed is in its stream once, in the order of the commits."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_messages import emit
from libs.streams.names import NO_CITY
from services.assignment.events import LOG_PREFIX
from tests.events import event_bytes, new_city
from tests.relays import RelayProcess, commit, entries, events, relaying, spelled, until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def relay(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with relaying(servers, tmp_path_factory.mktemp("log") / "relay.log") as running:
        yield running


@pytest.mark.usefixtures("relay")
async def test_commits_are_published_in_their_order_and_what_was_rolled_back_is_not(
    client: redis.Redis, primary: asyncpg.Connection
) -> None:
    city = new_city()
    await commit(primary, event_bytes("deliveries/1", 1, city), event_bytes("deliveries/2", 1, city))
    transaction = primary.transaction()
    await transaction.start()
    await emit(primary, LOG_PREFIX, [event_bytes("deliveries/1", 2, city).decode()])
    await transaction.rollback()
    await commit(primary, event_bytes("deliveries/1", 3, city))
    until(lambda: len(entries(client, city)) == 3)
    assert spelled(events(client, city)) == [("deliveries/1", 1), ("deliveries/2", 1), ("deliveries/1", 3)]
    first, second, third = (entry_id.split("-") for entry_id, _ in entries(client, city))
    assert first[0] == second[0]
    assert (first[1], second[1], third[1]) == ("0", "1", "0")
    assert int(third[0]) > int(first[0])


@pytest.mark.usefixtures("relay")
async def test_order_is_that_of_the_commits_not_of_the_writes(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection
) -> None:
    city = new_city()
    other = await asyncpg.connect(servers.dsn())
    transaction = other.transaction()
    await transaction.start()
    await emit(other, LOG_PREFIX, [event_bytes("deliveries/late", 1, city).decode()])
    await commit(primary, event_bytes("deliveries/early", 1, city))
    await transaction.commit()
    await other.close()
    until(lambda: len(entries(client, city)) == 2)
    assert [event.subject for event in events(client, city)] == ["deliveries/early", "deliveries/late"]


@pytest.mark.usefixtures("relay")
async def test_a_transaction_larger_than_a_batch_is_whole(client: redis.Redis, primary: asyncpg.Connection) -> None:
    city = new_city()
    await commit(primary, *(event_bytes(f"deliveries/{n}", 1, city) for n in range(2_345)))
    until(lambda: len(entries(client, city)) == 2_345)
    assert [event.subject for event in events(client, city)] == [f"deliveries/{n}" for n in range(2_345)]


@pytest.mark.usefixtures("relay")
async def test_messages_of_others_and_broken_envelopes_stop_nothing(
    client: redis.Redis, primary: asyncpg.Connection
) -> None:
    city = new_city()
    async with primary.transaction():
        await emit(primary, "somebody.else", ["not for us"])
        await emit(primary, LOG_PREFIX, ["no envelope", event_bytes("deliveries/1", 1, city).decode()])
    until(lambda: entries(client, city))
    assert "no envelope" in [raw.decode() for _, raw in entries(client, NO_CITY)]


async def test_what_is_published_is_acknowledged_after_the_hold_back(
    relay: RelayProcess, client: redis.Redis, primary: asyncpg.Connection
) -> None:
    city, began_s = new_city(), time.monotonic()
    await commit(primary, event_bytes("deliveries/1", 1, city))
    committed = await primary.fetchval("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn")
    until(lambda: entries(client, city))
    query = "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots WHERE slot_type = 'logical'"
    async with asyncio.timeout(30):
        while await primary.fetchval(query) < committed:
            await asyncio.sleep(0.05)
    # A bound from below, of something that waits: no machine is too slow for it.
    assert time.monotonic() - began_s > 3.0
    until(relay.is_healthy)
    assert relay.metrics()["lastmile_relay_leading"] == 1


@pytest.mark.usefixtures("relay")
async def test_log_without_events_is_not_held_back(client: redis.Redis, primary: asyncpg.Connection) -> None:
    city = new_city()
    await commit(primary, event_bytes("deliveries/1", 1, city))
    until(lambda: entries(client, city))
    await primary.execute("CREATE TABLE public.quiet (filler text)")
    query = "SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_type = 'logical'"
    for _ in range(2):
        await primary.execute("INSERT INTO public.quiet SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
        written = await primary.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        async with asyncio.timeout(60):
            while not await primary.fetchval(query, written):
                await asyncio.sleep(0.05)
    # Nothing that comes then is passed over.
    await commit(primary, event_bytes("deliveries/1", 2, city))
    until(lambda: len(entries(client, city)) == 2)
    await primary.execute("DROP TABLE public.quiet")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_standby_takes_over_from_a_leader_that_dies_or_stalls(
    servers: EmbeddedServers, relay: RelayProcess, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path,
    number: signal.Signals,
) -> None:  # fmt: skip
    city = new_city()
    await primary.execute("ALTER SYSTEM SET wal_sender_timeout = '2s'")
    await primary.execute("SELECT pg_reload_conf()")
    # Or the standby could be the first to find the slot free.
    until(relay.leads)
    with relaying(servers, tmp_path / "standby.log") as standby:
        until(lambda: "standing by" in standby.log_text, lambda: standby.log_text)
        until(standby.is_healthy)
        await commit(primary, event_bytes("deliveries/1", 1, city))
        relay.send(number)
        if number is signal.SIGKILL:
            relay.exit_code()
        await commit(primary, event_bytes("deliveries/1", 2, city))
        until(lambda: "leading" in standby.log_text, lambda: standby.log_text)
        if number is signal.SIGSTOP:
            relay.send(signal.SIGCONT)
        for sequence in range(3, 200):
            await commit(primary, event_bytes("deliveries/1", sequence, city))
        until(lambda: len(entries(client, city)) == 199)
        assert spelled(events(client, city)) == [("deliveries/1", n) for n in range(1, 200)]
        if number is signal.SIGSTOP:
            until(lambda: "standing by" in relay.log_text, lambda: relay.log_text)
    await primary.execute("ALTER SYSTEM RESET wal_sender_timeout")
    await primary.execute("SELECT pg_reload_conf()")
    if not relay.is_running:
        relay.start()
