"""The relay beside a publisher of another make: it looks after its streams, and does not fill them after it."""

from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.stack import EmbeddedServers
from libs.streams.names import EPOCHS, STREAMS, StreamName
from tests.events import event_bytes, new_city
from tests.relays import commit, relaying, until

pytestmark = pytest.mark.timeout(120)


async def test_streams_that_debezium_fills_are_made_known_and_trimmed(
    servers: EmbeddedServers, client: redis.Redis, tmp_path: Path
) -> None:
    stream = str(StreamName(new_city(), 7))
    told = {
        "relay_publisher": "debezium",
        "relay_retention__trim_every_s": "0.2",
        "relay_retention__stream_events_kept": "100",
    }
    with relaying(servers, tmp_path / "relay.log", **told) as relay:
        for _ in range(1_000):
            client.xadd(stream, {"key": '"deliveries/1"', "value": event_bytes("deliveries/1", 1)})
        until(lambda: client.sismember(STREAMS, stream) and client.sismember(EPOCHS, 7))
        until(lambda: client.xlen(stream) < 300)
        until(relay.is_healthy)
        assert "leading" not in relay.log_text
    client.delete(stream)
    client.srem(STREAMS, stream)
    client.srem(EPOCHS, 7)


async def test_a_relay_does_not_follow_a_publisher_whose_ids_are_times(
    servers: EmbeddedServers, client: redis.Redis, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    city = new_city()
    with relaying(servers, tmp_path / "first.log") as relay:
        await commit(primary, event_bytes("deliveries/1", 1, city))
        until(lambda: any(city in name.decode() for name in client.smembers(STREAMS)))
    stream = next(name.decode() for name in client.smembers(STREAMS) if city in name.decode())
    client.xadd(stream, {"key": '"deliveries/1"', "value": event_bytes("deliveries/1", 2, city)})
    with relaying(servers, tmp_path / "relay.log") as relay:
        assert relay.exit_code() == 5
        assert "taken for replays" in relay.log_text
