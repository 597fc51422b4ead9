"""The gateway, the relay and Redis die while somebody follows: nothing of what happens is lost, or comes twice."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from libs.embedded.stack import RunningStack
from tests.append_only_file import AppendOnlyFile
from tests.commits import Load, by_subject
from tests.events import new_city
from tests.live import EventSource
from tests.relays import until

pytestmark = pytest.mark.timeout(240)
FAULTS = ("gateway", "relay", "valkey", "gateway", "relay")
COMMITS_BETWEEN_FAULTS = 300
CITIES, DELIVERIES_EACH, WRITERS = 4, 5, 2
SOURCES = 3


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    told = {
        "LASTMILE_SERVICES": "assignment",
        "LASTMILE_GATEWAY_LIVE__HEARTBEAT_S": "0.5",
        "LASTMILE_GATEWAY_LIVE__RECENT_EVENTS_MAX": "200",
        # Long enough for a dead Redis's file to be cut.
        "LASTMILE_RESTART_BACKOFF_S_MIN": "1.5",
        "LASTMILE_RESTART_BACKOFF_S_MAX": "1.5",
    }
    with RunningStack(tmp_path_factory.mktemp("killed-live") / "home", told) as started:
        yield started


async def test_whoever_follows_misses_nothing_and_gets_nothing_twice(stack: RunningStack) -> None:
    cities = [new_city() for _ in range(CITIES)]
    load, file = Load(stack.dsn(), cities, DELIVERIES_EACH, WRITERS), AppendOnlyFile(stack)
    with ExitStack() as open_sources:
        sources = [
            open_sources.enter_context(EventSource(stack.base_url, stack.ops_api_key, **query))
            for query in [*({} for _ in range(SOURCES)), {"city_code": cities[0]}]
        ]
        writing = asyncio.create_task(load.run())
        for what in FAULTS:
            enough = load.committed + COMMITS_BETWEEN_FAULTS
            while load.committed < enough:
                assert not writing.done()
                await asyncio.sleep(0.01)
            await asyncio.to_thread(stack.kill, what)
            if what == "valkey":
                file.cut()
            await asyncio.to_thread(stack.wait_ready)
        load.stop.set()
        await writing
        file.close()

        def has_all(source: EventSource, expected: dict[str, list[int]]) -> bool:
            return len(source.named("lastmile.delivery.state_changed.v1")) >= sum(map(len, expected.values()))

        own = {subject: sequences for subject, sequences in load.expected.items() if cities[0] in subject}
        for source, expected in zip(sources, [*[load.expected] * SOURCES, own], strict=True):
            await asyncio.to_thread(until, lambda s=source, e=expected: has_all(s, e), lambda s=source: s.statuses)
            moved = [e.data for e in source.events if e.data.get("citycode") in cities]
            assert by_subject((data["subject"], int(data["sequence"])) for data in moved) == expected
            assert len({data["id"] for data in moved}) == len(moved)
            assert source.named("reset") == []
            assert source.connections > FAULTS.count("gateway")


async def test_a_redis_that_is_away_closes_no_stream_and_is_caught_up_with(stack: RunningStack) -> None:
    load = Load(stack.dsn(), [new_city()], DELIVERIES_EACH, 1)
    with EventSource(stack.base_url, stack.ops_api_key) as source:
        await asyncio.to_thread(stack.kill, "valkey")
        await asyncio.to_thread(source.until, lambda: any("are away" in comment for comment in source.parser.comments))
        writing = asyncio.create_task(load.run())
        while load.committed < 100:
            await asyncio.sleep(0.01)
        load.stop.set()
        await writing
        await asyncio.to_thread(until, lambda: len(source.events) >= load.committed)
        assert by_subject((e.data["subject"], int(e.data["sequence"])) for e in source.events) == load.expected
        assert source.connections == 1


async def test_a_gateway_that_is_told_to_stop_ends_its_streams_at_once(stack: RunningStack) -> None:
    with EventSource(stack.base_url, stack.ops_api_key) as source:
        await asyncio.to_thread(stack.kill, "gateway", 15)
        await asyncio.to_thread(source.until, lambda: bool(source.named("end")), 5.0)
        assert source.named("end")[0].data["reason"] == "STOPPING"
        await asyncio.to_thread(stack.wait_ready)
        await asyncio.to_thread(source.until, lambda: source.connections == 2)
