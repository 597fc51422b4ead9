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


def changed(partner_id: str, city_code: str, entry_id: str) -> Event:
    partner = partner_pb2.Partner(id=partner_id, profile=partner_pb2.PartnerProfile(city_code=city_code))
    message = event_pb2.Event(
        id=entry_id, subject=f"partners/{partner_id}", city_code=city_code,
        partner_changed=event_pb2.PartnerChanged(partner=partner),
    )  # fmt: skip
    return Event(f"lastmile:events:{{{city_code}}}:1", entry_id, b"", message)


async def tag_of(client: redis.Redis, tag: str) -> int:
    return int(await client.get(tag_key(tag)) or b"0", 16)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_lists_of_all_cities_of_a_partner_are_outdated_in_whatever_order_its_events_come(
    projector: CacheProjector, redis_client: redis.Redis, order: tuple[int, ...], together: bool
) -> None:
    partner_id, cities = str(uuid.uuid4()), [f"T{uuid.uuid4().hex[:8]}" for _ in range(3)]
    moves = [changed(partner_id, city, f"{(place + 1) * 100}-0") for place, city in enumerate(cities)]
    in_order = [moves[place] for place in order]
    for batch in [in_order] if together else [[event] for event in in_order]:
        await projector.handle(batch)
    # Each list is outdated up to when the partner left it at the earliest.
    found = [await tag_of(redis_client, partners_tag(city)) for city in cities]
    assert found[0] >= 201
    assert found[1] >= 301
    assert found[2] >= 301
    assert await tag_of(redis_client, partner_tag(partner_id)) == 301


async def test_an_event_with_an_id_that_is_no_position_outdates_all_that_is_there_and_nothing_to_come(
    projector: CacheProjector, redis_client: redis.Redis, database: Database
) -> None:
    partner_id = str(uuid.uuid4())
    before = number_of(await position(database.primary))
    await projector.handle([changed(partner_id, "T1", f"{1 << 62}-0")])
    after = number_of(await position(database.primary))
    assert before <= await tag_of(redis_client, partner_tag(partner_id)) <= after
    assert not [
        key async for key in redis_client.scan_iter(f"{tag_key(partner_tag(partner_id))}:*") if b":city" not in key
    ]


async def test_while_redis_is_away_events_wait(database: Database) -> None:
    away = CacheProjector(database.primary, CacheLink("redis://127.0.0.1:1/0", LIMITS), LIMITS, CacheWindows())
    with pytest.raises(TryLaterError):
        await away.handle([changed(str(uuid.uuid4()), "T1", "100-0")])
