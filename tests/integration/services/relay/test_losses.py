"""What the relay survives, and what it refuses to go on with."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers
from libs.streams.names import STREAMS
from tests.append_only_file import AppendOnlyFile
from tests.events import event_bytes, new_city
from tests.relays import RelayProcess, commit, entries, events, relaying, spelled, stream_of, until

pytestmark = pytest.mark.timeout(240)
RUNBOOK = "docs/runbooks/relay-slot-lost.md"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A supervisor that leaves a dead server alone for long enough to cut its file."""
    told = {"LASTMILE_RESTART_BACKOFF_S_MIN": "3", "LASTMILE_POSTGRES_SLOT_WAL_MB_MAX": "256"}
    with EmbeddedServers(tmp_path_factory.mktemp("losses") / "home", told) as started:
        yield started


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


async def test_a_redis_that_lost_its_last_second_is_filled_again(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    city, file = new_city(), AppendOnlyFile(servers)
    with relaying(servers, tmp_path / "relay.log") as relay:
        for sequence in range(1, 301):
            await commit(primary, event_bytes("deliveries/1", sequence, city))
        until(lambda: len(entries(client, city)) == 300)
        servers.kill("valkey")
        assert file.cut() > 0
        file.close()
        until(lambda: answers(client))
        await commit(primary, event_bytes("deliveries/1", 301, city))
        until(lambda: len(entries(client, city)) == 301, lambda: relay.log_text)
        assert spelled(events(client, city)) == [("deliveries/1", n) for n in range(1, 302)]
    servers.wait_ready()


async def test_a_full_redis_gets_nothing_out_of_order_and_everything_once_it_has_room(
    client: redis.Redis, primary: asyncpg.Connection, servers: EmbeddedServers, tmp_path: Path
) -> None:
    city = new_city()
    limits = {"relay_publish__batch_events_max": "50", "relay_publish__outage_wait_s": "0.1"}
    with relaying(servers, tmp_path / "relay.log", **limits) as relay:
        await commit(primary, event_bytes("deliveries/1", 1, city))
        until(lambda: len(entries(client, city)) == 1)
        kept = client.config_get("maxmemory")["maxmemory"]
        # Room for a part of what comes.
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 300_000)
        for start in range(2, 2_002, 100):
            await commit(primary, *(event_bytes("deliveries/1", n, city) for n in range(start, start + 100)))
        until(lambda: "maxmemory" in relay.log_text)
        assert len(entries(client, city)) < 2_001
        # It is well for a moment each time it leads again, before Redis refuses it again.
        until(lambda: not relay.is_healthy(), lambda: relay.log_text)
        client.config_set("maxmemory", kept)
        until(lambda: len(entries(client, city)) == 2_001, lambda: relay.log_text)
        assert spelled(events(client, city)) == [("deliveries/1", n) for n in range(1, 2_002)]


async def test_a_redis_that_hangs_is_left_and_met_again(
    client: redis.Redis, primary: asyncpg.Connection, servers: EmbeddedServers, tmp_path: Path
) -> None:
    city = new_city()
    with relaying(servers, tmp_path / "relay.log", relay_publish__redis_timeout_s="0.5") as relay:
        await commit(primary, event_bytes("deliveries/1", 1, city))
        until(lambda: len(entries(client, city)) == 1)
        servers.kill("valkey", signal.SIGSTOP)
        try:
            await commit(primary, event_bytes("deliveries/1", 2, city))
            until(lambda: "does not answer" in relay.log_text)
        finally:
            servers.kill("valkey", signal.SIGCONT)
        until(lambda: len(entries(client, city)) == 2, lambda: relay.log_text)
        assert spelled(events(client, city)) == [("deliveries/1", 1), ("deliveries/1", 2)]


async def test_an_outage_of_postgresql_and_of_redis_ends_by_itself(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    city = new_city()
    with relaying(servers, tmp_path / "relay.log") as relay:
        await commit(primary, event_bytes("deliveries/1", 1, city))
        until(lambda: len(entries(client, city)) == 1)
        servers.kill("postgres")
        servers.kill("valkey")
        until(lambda: not relay.is_healthy())
        servers.wait_ready()
        connection = await asyncpg.connect(servers.dsn())
        await commit(connection, event_bytes("deliveries/1", 2, city))
        await connection.close()
        until(lambda: len(entries(client, city)) == 2, lambda: relay.log_text)
        until(relay.is_healthy)


async def test_much_log_held_back_raises_the_alarm(
    primary: asyncpg.Connection, servers: EmbeddedServers, tmp_path: Path
) -> None:
    limits = {"relay_retention__retained_mb_alarm": "1", "relay_retention__watch_every_s": "0.1"}
    with relaying(servers, tmp_path / "relay.log", **limits) as relay:
        until(lambda: "leading" in relay.log_text)
        await primary.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 5000000))")
        until(lambda: "holds back much log" in relay.log_text)
        assert relay.metrics()["lastmile_relay_retained_bytes"] > 1_000_000
        assert relay.metrics()["lastmile_relay_retained_alarm_bytes"] == 1_000_000


async def test_a_new_epoch_is_not_begun_under_a_running_relay(
    client: redis.Redis, primary: asyncpg.Connection, servers: EmbeddedServers, tmp_path: Path
) -> None:
    city = new_city()
    with relaying(servers, tmp_path / "relay.log") as relay:
        until(lambda: "leading" in relay.log_text)
        command = [sys.executable, "-m", "services.relay", "begin-epoch"]
        done = await asyncio.to_thread(
            subprocess.run, command, env=relay.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 1
        assert "stop every relay first" in done.stderr
        await commit(primary, event_bytes("deliveries/1", 1, city))
        until(lambda: len(entries(client, city)) == 1)


async def test_a_redis_without_its_streams_is_refused_loudly(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    with relaying(servers, tmp_path / "first.log"):
        async with asyncio.timeout(60):
            while not await primary.fetchval("SELECT bool_and(begun_at IS NOT NULL) FROM relay.epochs"):
                await asyncio.sleep(0.05)
    client.flushall()
    with relaying(servers, tmp_path / "relay.log") as relay:
        assert relay.exit_code() == 4
        assert RUNBOOK in relay.log_text
    await recover_and_check(servers, client, primary, relay, tmp_path)


async def test_a_slot_that_was_dropped_is_refused_loudly_and_begun_again_by_hand(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    # The relay of the test before may have it for a moment still.
    active = "SELECT bool_or(active) FROM pg_replication_slots WHERE slot_type = 'logical'"
    async with asyncio.timeout(30):
        while await primary.fetchval(active):
            await asyncio.sleep(0.05)
    await primary.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_type = 'logical'"
    )
    with relaying(servers, tmp_path / "relay.log") as relay:
        assert relay.exit_code() == 3
        assert "is gone" in relay.log_text
        assert RUNBOOK in relay.log_text
    await recover_and_check(servers, client, primary, relay, tmp_path)


async def test_a_slot_whose_log_was_removed_is_refused_loudly(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    async with asyncio.timeout(120):
        query = "SELECT wal_status FROM pg_replication_slots WHERE slot_type = 'logical'"
        while await primary.fetchval(query) != "lost":
            # 64 MB of log that no relay reads; a checkpoint looks for slots that hold back too much.
            await primary.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 64000000))")
            await primary.execute("SELECT pg_switch_wal()")
            await primary.execute("CHECKPOINT")
    with relaying(servers, tmp_path / "relay.log") as relay:
        assert relay.exit_code() == 3
        assert "wal_removed" in relay.log_text
    await recover_and_check(servers, client, primary, relay, tmp_path)


async def recover_and_check(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, relay: RelayProcess, tmp_path: Path
) -> None:
    """The runbook's step, and events in streams of a new epoch."""
    command = [sys.executable, "-m", "services.relay", "begin-epoch"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=relay.environment, capture_output=True, text=True, check=True, timeout=60
    )
    epoch = done.stdout.split()[1]
    city = new_city()
    with relaying(servers, tmp_path / "after.log") as after:
        await commit(primary, event_bytes("deliveries/1", 1, city))
        until(lambda: len(entries(client, city)) == 1, lambda: after.log_text)
    assert stream_of(client, city).endswith(f":{epoch}")
    assert client.scard(STREAMS) > 0
