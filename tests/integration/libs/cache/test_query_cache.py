"""The cache on a real Redis: good answers only, made once for however many, and never another caller's."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from libs.cache.entries import checked
from libs.cache.errors import CacheAwayQueriesError
from libs.cache.link import CacheAwayError, CacheLink
from libs.cache.query_cache import CachedQuery, QueryCache
from libs.cache.reuse import METADATA, Reusable
from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.errors import NotFoundError, UnavailableError
from libs.grpc_server.identity import Principal, Role
from libs.postgres.log_clock import ClockLimits, LogClock
from tests.caches import LIMITS, METHOD, OPS, WINDOW_MS, Caching, Standby, process


@pytest.fixture
async def caching(embedded_servers: EmbeddedServers) -> AsyncIterator[Caching]:
    async with process(embedded_servers.redis_url) as made:
        yield made


@pytest.fixture
def name() -> str:
    return str(uuid.uuid4())


async def test_the_second_answer_comes_from_the_cache_and_says_so(caching: Caching, name: str) -> None:
    standby = Standby()
    first, second = await caching.ask(standby, name), await caching.ask(standby, name)
    assert (first.origin.source, second.origin.source, standby.asked) == ("standby", "cache", 1)
    assert second.response_metadata == first.response_metadata
    assert second.origin.age_ms is not None
    assert second.origin.age_ms >= 1_000, "its position was the newest one a second ago, and not since"


async def test_a_change_outdates_and_a_slow_query_cannot_bring_the_old_answer_back(caching: Caching, name: str) -> None:
    slow = Standby(position=100, takes_s=0.3)
    reading = asyncio.create_task(caching.ask(slow, name))
    while not slow.asked:
        await asyncio.sleep(0.01)
    await caching.outdate(f"test/{name}", 101)
    assert (await reading).origin.source == "standby"
    now = Standby(position=150)
    fresh = None
    while fresh is None or fresh.response_metadata["version"] != "150":
        fresh = await caching.ask(now, name)
        await asyncio.sleep(0.01)
    assert (await caching.ask(Standby(position=90), name)).response_metadata["version"] == "150"


async def test_an_answer_of_an_earlier_position_never_replaces_a_later_one(caching: Caching, name: str) -> None:
    await caching.ask(Standby(position=200), name)
    lagging = await caching.ask(Standby(position=300), name, token=250)
    assert lagging.response_metadata["version"] == "300"
    await caching.ask(Standby(position=260), name, token=301)
    assert (await caching.ask(Standby(), name)).response_metadata["version"] == "300"


async def test_a_token_is_served_only_by_an_answer_that_covers_it(caching: Caching, name: str) -> None:
    standby = Standby(position=100)
    await caching.ask(standby, name)
    assert (await caching.ask(standby, name, token=100)).origin.source == "cache"
    standby.position = 120
    assert (await caching.ask(standby, name, token=101)).origin.source == "standby"
    assert (await caching.ask(standby, name, token=120)).origin.source == "cache"


async def test_hundreds_of_readers_of_an_expired_answer_in_two_processes_cost_one_query(
    embedded_servers: EmbeddedServers, name: str
) -> None:
    standby, url = Standby(takes_s=0.2), embedded_servers.redis_url
    # However slow the machine is: nobody else takes the turn of the one that makes the answer.
    limits = LIMITS.model_copy(update={"refresh_ms_max": 60_000})
    async with process(url, limits) as one, process(url, limits) as two:
        versions = await _versions_of_hundreds(one, two, standby, name)
        assert standby.asked == 1
        assert versions == {"100"}
        # Then it is outdated: all are given what there is, while one makes it anew.
        standby.position, standby.let_go = 2_000, asyncio.Event()
        await one.outdate(f"test/{name}", 1_500)
        assert await _versions_of_hundreds(one, two, standby, name) == {"100"}
        standby.let_go.set()
        while (await two.ask(standby, name)).response_metadata["version"] != "2000":
            await asyncio.sleep(0.02)
        assert standby.asked == 2


async def _versions_of_hundreds(one: Caching, two: Caching, standby: Standby, name: str) -> set[str]:
    calls = await asyncio.gather(
        *(one.ask(standby, name) for _ in range(300)), *(two.ask(standby, name) for _ in range(300))
    )
    return {call.response_metadata["version"] for call in calls}


async def test_a_good_answer_says_until_when_it_is_good_and_an_outdated_one_does_not(
    caching: Caching, name: str
) -> None:
    standby = Standby()
    for _ in range(2):
        said = Reusable.of((await caching.ask(standby, name)).response_metadata[METADATA])
        assert said == Reusable(100, WINDOW_MS, f"test/{caching.link.run_id}", f"test/{name}")
    await caching.outdate(f"test/{name}", 1_500)
    assert METADATA not in (await caching.ask(standby, name)).response_metadata


async def test_what_was_outdated_long_ago_is_not_given_any_more(caching: Caching, name: str) -> None:
    standby = Standby()
    await caching.ask(standby, name)
    await caching.outdate(f"test/{name}", 150)
    # The change was seen, and half a second passed since.
    caching.clock.note(time.monotonic() + 0.5, 1_001)
    standby.position = 1_001
    assert (await caching.ask(standby, name)).response_metadata["version"] == "1001"


async def test_a_window_that_has_passed_ends_an_answer_that_nothing_outdated(caching: Caching, name: str) -> None:
    standby = Standby()
    await caching.ask(standby, name)
    caching.clock.note(time.monotonic() + WINDOW_MS / 1000 + 1, 1_001)
    await caching.ask(standby, name)
    assert standby.asked == 2


async def test_a_missing_thing_is_remembered_briefly_and_until_it_comes_about(caching: Caching, name: str) -> None:
    missing = Standby(
        position=1_000, error=NotFoundError("there is none", reason="TEST_NOT_FOUND", metadata={"id": name})
    )
    for _ in range(5):
        with pytest.raises(NotFoundError) as refused:
            await caching.ask(missing, name)
        assert (refused.value.reason, refused.value.metadata) == ("TEST_NOT_FOUND", {"id": name})
    assert missing.asked == 1
    await caching.outdate(f"test/{name}", 1_001)
    assert (await caching.ask(Standby(position=1_001), name)).origin.source == "standby"


async def test_nobody_gets_another_callers_answer_whatever_it_asks(caching: Caching, name: str) -> None:
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    callers = [
        OPS,
        Principal("a", Role.MERCHANT, merchant_id=one),
        Principal("b", Role.MERCHANT, merchant_id=two),
        Principal("c", Role.PARTNER, partner_id=one),
    ]
    standby = Standby()
    # Names that would leave the hash tag, end the key, or spell another caller's.
    for asked in (name, f"{name}}}:ops", f"{name}{{", f"merchant:{one}", f"\x00{name}", f"{name}\n", ""):
        for _ in range(2):
            for caller in callers:
                call = await caching.ask(standby, asked, caller)
                assert call.response_metadata["for"] == caller.scope
    assert len(standby.seen) == 7 * len(callers)


async def test_a_lost_tag_outdates_what_was_kept(
    caching: Caching, name: str, embedded_servers: EmbeddedServers
) -> None:
    standby = Standby()
    await caching.ask(standby, name)
    checked(await caching.link.ask(("DEL", f"lastmile:cache:{{test/{name}}}")))
    standby.position = 180
    await caching.ask(standby, name)
    assert (await caching.ask(standby, name)).response_metadata["version"] == "180"
    assert standby.asked == 2


async def test_large_answers_and_too_many_are_not_kept(embedded_servers: EmbeddedServers, name: str) -> None:
    for limits in (LIMITS.model_copy(update={"entry_bytes_max": 5}), LIMITS.model_copy(update={"kept_bytes_max": 5})):
        async with process(embedded_servers.redis_url, limits) as caching:
            standby = Standby()
            await caching.ask(standby, name)
            await caching.ask(standby, name)
            assert standby.asked == 2


async def test_without_a_standby_what_is_within_the_window_is_given_though_it_is_outdated(
    caching: Caching, name: str
) -> None:
    standby = Standby()
    await caching.ask(standby, name)
    await caching.outdate(f"test/{name}", 150)
    caching.clock.note(time.monotonic() + 2, 1_001)
    down = Standby(error=UnavailableError("nothing answers"))
    assert (await caching.ask(down, name)).origin.source == "cache"
    caching.is_up[0] = False
    assert (await caching.ask(down, name)).origin.source == "cache"
    assert down.asked == 1, "what is known to be away is not asked"
    caching.clock.note(time.monotonic() + WINDOW_MS / 1000 + 2, 1_002)
    with pytest.raises(UnavailableError):
        await caching.ask(down, name)


async def test_without_a_standby_no_refresh_spends_what_the_primary_does_for_queries(
    caching: Caching, name: str
) -> None:
    standby = Standby()
    await caching.ask(standby, name)
    # A moment ago, and beyond what was seen of the log.
    await caching.outdate(f"test/{name}", 1_500)
    caching.is_up[0] = False
    for _ in range(5):
        assert (await caching.ask(standby, name)).origin.source == "cache"
    assert standby.asked == 1, "an answer of the primary could not be kept"
    caching.is_up[0], standby.position = True, 1_500
    while (await caching.ask(standby, name)).response_metadata["version"] != "1500":
        await asyncio.sleep(0.01)
    assert standby.asked == 2


async def test_without_redis_so_many_queries_a_second_go_to_the_standby(name: str) -> None:
    clock, link = LogClock(ClockLimits()), CacheLink("redis://127.0.0.1:1/0", LIMITS)
    clock.history = "test"
    cache = QueryCache(link, clock, {METHOD: CachedQuery(lambda *_: "tag", WINDOW_MS)}, LIMITS, lambda: True)
    caching, standby = Caching(cache, link, clock, [True]), Standby()
    with pytest.raises(CacheAwayError):
        await link.ask(("PING",))
    answers = [await _or_error(caching.ask(standby, f"{name}{n}")) for n in range(20)]
    refused = [answer for answer in answers if isinstance(answer, CacheAwayQueriesError)]
    assert standby.asked == len(answers) - len(refused) >= LIMITS.uncached_per_s_max
    assert len(refused) >= 10
    assert refused[0].retry_after_s


async def _or_error(asking):
    try:
        return await asking
    except UnavailableError as error:
        return error
