"""Whether an answer that was passed on may be given again, on a real Redis."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from libs.cache.caching import linked
from libs.cache.entries import FOUND, Entry, Place, checked, keep_command, outdate_command, tag_key
from libs.cache.limits import LinkLimits
from libs.cache.link import CacheLink
from libs.cache.reuse import Reusable, Reuse, era_of
from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_clock import ClockLimits, LogClock

KEPT_AT, NOW_AT, WINDOW_MS = 100, 1_000, 60_000
OUTDATED_MS_MAX = 2_000


@dataclass
class Process:
    """A process that looks, its clock, and an answer that is kept at a position long ago, which nothing outdated."""

    link: CacheLink
    clock: LogClock
    reusable: Reusable

    async def look(self, wanted: int = 0, outdated_ms_max: int = OUTDATED_MS_MAX, **changes: object) -> bool:
        reuse = Reuse(self.link, self.clock, outdated_ms_max)
        return await reuse.origin_of(replace(self.reusable, **changes), wanted) is not None  # type: ignore[arg-type]  # as a test gives them

    async def outdate(self, position: int) -> None:
        checked(await self.link.ask(outdate_command(self.reusable.tag, position, 600)))


@pytest.fixture
async def process(embedded_servers: EmbeddedServers) -> AsyncIterator[Process]:
    clock, tag = LogClock(ClockLimits()), f"test/{uuid.uuid4()}"
    clock.history = "test"
    now_s = time.monotonic()
    clock.note(now_s - 10, KEPT_AT)
    clock.note(now_s, NOW_AT)
    async with linked(embedded_servers.redis_url, LinkLimits(redis_timeout_ms=2_000)) as link:
        while not link.run_id:
            await asyncio.sleep(0.01)
        era = era_of(clock, link)
        place = Place.of(tag, era, "ops", "/test/List", b"")
        checked(await link.ask(keep_command(place, Entry(FOUND, b"answer", KEPT_AT, None), WINDOW_MS, 600)))
        yield Process(link, clock, Reusable(KEPT_AT, WINDOW_MS, era, tag))


async def test_what_nothing_outdated_is_good_and_says_how_old_it_is(process: Process) -> None:
    origin = await Reuse(process.link, process.clock, 0).origin_of(process.reusable, 0)
    assert origin is not None
    assert (origin.source, origin.position) == ("cache", KEPT_AT)
    assert origin.age_ms is not None
    assert origin.age_ms >= 10_000


async def test_what_is_outdated_is_good_while_it_is_a_moment_old(process: Process) -> None:
    await process.outdate(NOW_AT + 1)
    assert await process.look(position=NOW_AT, outdated_ms_max=60_000)
    assert not await process.look(position=NOW_AT, outdated_ms_max=0)
    assert not await process.look(position=KEPT_AT, outdated_ms_max=9_000)


async def test_what_is_outdated_again_and_again_is_no_longer_good_than_what_was_once(process: Process) -> None:
    made_at_s = time.monotonic()
    process.clock.note(made_at_s, NOW_AT + 1)
    position = NOW_AT + 1
    async with asyncio.timeout(30):
        while await process.look(position=NOW_AT + 1):
            position += 1
            await process.outdate(position)
            process.clock.note(time.monotonic(), position)
            await asyncio.sleep(0.02)
    assert time.monotonic() - made_at_s > OUTDATED_MS_MAX / 1000


async def test_while_the_primary_is_away_the_moment_ends_too(process: Process) -> None:
    await process.outdate(NOW_AT + 1)
    # Nobody looks at the log any more.
    async with asyncio.timeout(30):
        while await process.look(position=NOW_AT):
            await asyncio.sleep(0.02)


async def test_who_asks_for_a_position_gets_what_covers_it(process: Process) -> None:
    assert await process.look(wanted=KEPT_AT)
    assert not await process.look(wanted=KEPT_AT + 1)


async def test_a_window_ends(process: Process) -> None:
    assert await process.look(window_ms=10_500)
    assert not await process.look(window_ms=9_000)


async def test_another_history_or_run_of_redis_is_good_for_nothing(process: Process) -> None:
    assert not await process.look(era=f"other/{process.link.run_id}")
    assert not await process.look(era="test/other")


async def test_what_has_lost_its_tag_is_not_good(process: Process) -> None:
    checked(await process.link.ask(("DEL", tag_key(process.reusable.tag))))
    assert not await process.look()


async def test_without_redis_nobody_can_tell(process: Process) -> None:
    away = CacheLink("redis://127.0.0.1:1/0", LinkLimits())
    away.run_id = process.link.run_id
    assert await Reuse(away, process.clock, OUTDATED_MS_MAX).origin_of(process.reusable, 0) is None


def test_what_is_said_is_understood_and_anything_else_is_nothing() -> None:
    reusable = Reusable(0x1A2B, 60_000, "history.00000001/run", "partners@BLR")
    assert Reusable.of(reusable.text()) == reusable
    for text in ("", "1", "x 1 era tag", "1 x era tag", "1 2 era"):
        assert Reusable.of(text) is None
