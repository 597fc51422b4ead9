"""Trimming bounds the streams and takes nothing that a registered consumer still needs."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.streams import groups
from libs.streams.names import FIELD, GROUPS, STREAMS, StreamName, replay_key
from services.relay.publishing.trimmer import trim
from tests.events import Writer, event_bytes, new_city

EVENTS = 3_000
# Whole blocks of a stream go at once.
BLOCK = 100
KEPT = 500


@pytest.fixture
async def store(embedded_servers: EmbeddedServers) -> AsyncIterator[redis.Redis]:
    async with redis.from_url(embedded_servers.redis_url) as made:
        await made.delete(STREAMS, GROUPS)
        yield made
        await made.delete(STREAMS, GROUPS)


@pytest.fixture
async def stream(store: redis.Redis) -> str:
    writer = Writer(store, new_city())
    await writer.append(*(event_bytes("deliveries/1", n, writer.city_code) for n in range(EVENTS)))
    return writer.stream


async def group(store: redis.Redis, stream: str, name: str, *, read: int, acknowledge: int) -> None:
    """A registered group that has read and acknowledged this many events."""
    await store.sadd(GROUPS, name)
    await groups.ensure_group(store, stream, name)
    if read:
        ((_, found),) = await store.xreadgroup(name, "c", {stream: ">"}, count=read)
        if acknowledge:
            await store.xack(stream, name, *(entry_id for entry_id, _ in found[:acknowledge]))


async def oldest(store: redis.Redis, stream: str) -> int:
    ((entry_id, _),) = await store.xrange(stream, count=1)
    return int(entry_id.partition(b"-")[0])


async def test_without_consumers_the_newest_events_are_kept(store: redis.Redis, stream: str) -> None:
    assert await trim(store, KEPT) > 0
    assert KEPT <= await store.xlen(stream) < KEPT + BLOCK
    assert await trim(store, KEPT) == 0


async def test_nothing_goes_that_the_slowest_has_not_read(store: redis.Redis, stream: str) -> None:
    await group(store, stream, "fast", read=EVENTS, acknowledge=EVENTS)
    await group(store, stream, "slow", read=1_000, acknowledge=1_000)
    await trim(store, KEPT)
    assert 1_000 - BLOCK < await oldest(store, stream) <= 1_001


async def test_nothing_goes_that_was_read_and_not_acknowledged(store: redis.Redis, stream: str) -> None:
    await group(store, stream, "crashed", read=EVENTS, acknowledge=700)
    await trim(store, KEPT)
    assert 700 - BLOCK < await oldest(store, stream) <= 701


async def test_a_registered_group_that_has_not_begun_the_stream_needs_all_of_it(
    store: redis.Redis, stream: str
) -> None:
    await group(store, stream, "fast", read=EVENTS, acknowledge=EVENTS)
    await store.sadd(GROUPS, "newcomer")
    assert await trim(store, KEPT) == 0
    assert await oldest(store, stream) == 1


async def test_of_an_earlier_epoch_nothing_is_kept_that_was_read(store: redis.Redis, stream: str) -> None:
    city = StreamName.parse(stream).city_code
    later = Writer(store, city, epoch=2)
    await later.append(*(event_bytes("deliveries/1", n, city) for n in range(EVENTS)))
    for name in (stream, later.stream):
        await group(store, name, "fast", read=EVENTS, acknowledge=EVENTS)
    await trim(store, KEPT)
    assert await store.xlen(stream) <= BLOCK
    assert await store.xlen(later.stream) >= KEPT


async def test_what_was_replayed_goes_once_it_is_read(store: redis.Redis, stream: str) -> None:
    replayed = replay_key(StreamName.parse(stream).city_code, "fast")
    for n in range(2 * BLOCK):
        await store.xadd(replayed, {FIELD: event_bytes("deliveries/1", n)})
    await group(store, replayed, "fast", read=BLOCK, acknowledge=BLOCK)
    await trim(store, KEPT)
    assert BLOCK <= await store.xlen(replayed) < 2 * BLOCK
    assert await store.xlen(stream) == EVENTS


async def test_newcomers_find_the_newest_events_though_everybody_has_read_them(store: redis.Redis, stream: str) -> None:
    await group(store, stream, "fast", read=EVENTS, acknowledge=EVENTS)
    await trim(store, KEPT)
    assert KEPT <= await store.xlen(stream) < KEPT + BLOCK
