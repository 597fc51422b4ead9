"""The cache projector on the real servers: whatever order events come in, and wherever their ids come from."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from itertools import permutations

import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import partner_pb2
from lastmile.events.v1 import event_pb2

from libs.cache.entries import tag_key
from libs.cache.limits import CacheLimits
from libs.cache.link import CacheLink
from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_position import number_of, position
from libs.streams.codec import Event
from libs.streams.handler import TryLaterError
from libs.streams.names import StreamName, replay_key
from services.assignment.cached_queries import CacheWindows, partner_tag, partners_tag
from services.assignment.database import Database
from services.assignment.handlers.cache_projector import CacheProjector

LIMITS = CacheLimits(redis_timeout_ms=2_000)


@pytest.fixture
async def projector(embedded_servers: EmbeddedServers, database: Database) -> AsyncIterator[CacheProjector]:
    link = CacheLink(embedded_servers.redis_url, LIMITS)
    running = asyncio.create_task(link.run())
    while not link.run_id:
        await asyncio.sleep(0.01)
    yield CacheProjector(database.primary, link, LIMITS, CacheWindows())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def changed(partner_id: str, city_code: str, entry_id: str, told_in: str = "", stream: str = "") -> Event:
    """Return the event of a partner that is in a city now, as that city's stream or another's has it."""
    told_in = told_in or city_code
    partner = partner_pb2.Partner(id=partner_id, profile=partner_pb2.PartnerProfile(city_code=city_code))
    message = event_pb2.Event(
        id=entry_id, subject=f"partners/{partner_id}", city_code=told_in,
        partner_changed=event_pb2.PartnerChanged(partner=partner),
    )  # fmt: skip
    return Event(stream or str(StreamName(told_in, 1)), entry_id, b"", message)


async def tag_of(client: redis.Redis, tag: str) -> int:
    return int(await client.get(tag_key(tag)) or b"0", 16)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_lists_of_all_cities_of_a_partner_are_outdated_in_whatever_order_its_events_come(
    projector: CacheProjector, redis_client: redis.Redis, order: tuple[int, ...], together: bool
) -> None:
    partner_id, (old, new) = str(uuid.uuid4()), [f"T{uuid.uuid4().hex[:8]}" for _ in range(2)]
    events = [
        changed(partner_id, old, "100-0"), changed(partner_id, new, "200-0"), changed(partner_id, new, "200-1", old),
    ]  # fmt: skip
    in_order = [events[place] for place in order]
    for batch in [in_order] if together else [[event] for event in in_order]:
        await projector.handle(batch)
    for tag in (partners_tag(old), partners_tag(new), partner_tag(partner_id)):
        assert await tag_of(redis_client, tag) == 201
        # Nothing of a partner stays for good.
        async for key in redis_client.scan_iter(f"{tag_key(tag)}*"):
            assert await redis_client.ttl(key) > 0, key


async def test_a_replayed_event_outdates_all_that_is_there_though_the_log_has_passed_its_id(
    projector: CacheProjector, redis_client: redis.Redis, database: Database
) -> None:
    partner_id = str(uuid.uuid4())
    before = number_of(await position(database.primary))
    await projector.handle([changed(partner_id, "T1", "100-0", stream=replay_key("T1", projector.name))])
    assert await tag_of(redis_client, partner_tag(partner_id)) >= before
    assert not [key async for key in redis_client.scan_iter(f"{tag_key(partner_tag(partner_id))}:*")]


async def test_an_event_with_an_id_that_is_no_position_outdates_all_that_is_there_and_nothing_to_come(
    projector: CacheProjector, redis_client: redis.Redis, database: Database
) -> None:
    partner_id = str(uuid.uuid4())
    before = number_of(await position(database.primary))
    await projector.handle([changed(partner_id, "T1", f"{1 << 62}-0")])
    after = number_of(await position(database.primary))
    assert before <= await tag_of(redis_client, partner_tag(partner_id)) <= after
    assert not [key async for key in redis_client.scan_iter(f"{tag_key(partner_tag(partner_id))}:*")]


async def test_while_redis_is_away_events_wait(database: Database) -> None:
    away = CacheProjector(database.primary, CacheLink("redis://127.0.0.1:1/0", LIMITS), LIMITS, CacheWindows())
    with pytest.raises(TryLaterError):
        await away.handle([changed(str(uuid.uuid4()), "T1", "100-0")])
