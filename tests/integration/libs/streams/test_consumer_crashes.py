"""Consumers that die, leave, share and take over, on a real Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.streams import groups
from libs.streams.codec import Event
from libs.streams.consumer import Consumer
from libs.streams.names import alive_key
from tests.consumers import QUICK, Recorder, consuming, drained, until
from tests.events import Writer, event_bytes, new_city


async def test_what_a_dead_process_was_given_comes_to_its_successor_before_anything_newer(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    class Stuck(Recorder):
        async def handle(self, batch: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    await writer.append_interleaved(subjects=20, events_each=2)
    dying = asyncio.create_task(Consumer(client, Stuck(group), QUICK).run(asyncio.Event()))
    await until(lambda: _pending(client, writer.stream, group, 40))
    # No goodbye: its lease, its entry among the living and its pending events are all still there.
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await writer.append(*(event_bytes(f"deliveries/{n}", 3, writer.city_code) for n in range(20)))
    handler = Recorder(group)
    async with consuming(client, handler) as successor:
        await until(lambda: drained(client, writer.stream, group))
        names = {consumer["name"].decode() for consumer in await client.xinfo_consumers(writer.stream, group)}
        assert names == {successor.name}
    assert handler.sequences() == {f"deliveries/{n}": [1, 2, 3] for n in range(20)}


async def _pending(client: redis.Redis, stream: str, group: str, count: int) -> bool:
    state = (await groups.progress(client, stream)).get(group) if await client.exists(stream) else None
    return state is not None and state["pending"] == count


async def test_a_full_redis_is_consumed_by_a_process_that_starts(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    await writer.append_interleaved(subjects=20, events_each=2)
    kept = (await client.config_get("maxmemory"))["maxmemory"]
    await client.config_set("maxmemory", 1)
    try:
        handler = Recorder(group)
        async with consuming(client, handler):
            await until(lambda: drained(client, writer.stream, group))
    finally:
        await client.config_set("maxmemory", kept)
    assert handler.sequences() == {f"deliveries/{n}": [1, 2] for n in range(20)}


async def test_a_group_that_was_destroyed_is_made_again(client: redis.Redis, writer: Writer, group: str) -> None:
    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    handler = Recorder(group)
    async with consuming(client, handler):
        await until(lambda: handler.sequences() == {"deliveries/1": [1]})
        await client.xgroup_destroy(writer.stream, group)
        await writer.append(event_bytes("deliveries/1", 2, writer.city_code))
        # From the start: an event that was seen is recognised by its id.
        await until(lambda: handler.sequences() == {"deliveries/1": [1, 1, 2]})


async def test_a_redis_that_was_emptied_is_consumed_again(client: redis.Redis, writer: Writer, group: str) -> None:
    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    handler = Recorder(group)
    # Whatever it does next, it meets keys that are gone.
    async with consuming(client, handler, QUICK.model_copy(update={"sweep_s": 0.05})):
        await until(lambda: handler.sequences() == {"deliveries/1": [1]})
        await client.flushall()
        await writer.append(event_bytes("deliveries/1", 2, writer.city_code))
        await until(lambda: handler.sequences() == {"deliveries/1": [1, 2]})


async def test_processes_share_the_cities_and_take_over_from_one_that_leaves(client: redis.Redis, group: str) -> None:
    writers = [Writer(client, new_city()) for _ in range(6)]
    first, second = Recorder(group), Recorder(group)
    async with consuming(client, first) as one:
        for writer in writers:
            await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
        await until(lambda: len(first.seen) == 6)
        async with consuming(client, second) as two:
            await until(lambda: len(one._leases.owned) == len(two._leases.owned) == 3)
            assert one._leases.owned.isdisjoint(two._leases.owned)
            for writer in writers:
                await writer.append(event_bytes("deliveries/1", 2, writer.city_code))
            await until(lambda: len(first.seen) + len(second.seen) == 12)
            assert len(second.seen) == 3
        assert await client.zcard(alive_key(group)) == 1
        await until(lambda: len(one._leases.owned) == 6)


async def test_a_process_that_stalls_before_it_reads_takes_nothing_from_its_successor(
    client: redis.Redis, writer: Writer, group: str, embedded_servers: EmbeddedServers
) -> None:
    class Stalling(redis.Redis):
        """Stalls before it asks for what is new, once it is told to, for as long as it is told to."""

        stalls, may_go_on = asyncio.Event(), asyncio.Event()

        async def stall(self) -> None:
            if self.stalls.is_set():
                await self.may_go_on.wait()

        def pipeline(self, *arguments: Any, **named: Any) -> Any:
            made = super().pipeline(*arguments, **named)
            execute = made.execute

            async def execute_later(*also: Any, **options: Any) -> Any:
                if any("XREADGROUP" in str(command) for command in made.command_stack):
                    await self.stall()
                return await execute(*also, **options)

            made.execute = execute_later
            return made

        async def xreadgroup(self, *arguments: Any, **named: Any) -> Any:
            await self.stall()
            return await super().xreadgroup(*arguments, **named)

    stalling = Stalling.from_url(embedded_servers.redis_url)
    first, second = Recorder(group), Recorder(group)
    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    async with consuming(stalling, first):
        await until(lambda: first.sequences() == {"deliveries/1": [1]})
        Stalling.stalls.set()
        await writer.append(event_bytes("deliveries/1", 2, writer.city_code))
        async with consuming(client, second):
            await until(lambda: second.sequences() == {"deliveries/1": [2]})
            # Only one of them may be given what comes now.
            for sequence in range(3, 60):
                await writer.append(event_bytes("deliveries/1", sequence, writer.city_code))
                Stalling.may_go_on.set()
                Stalling.stalls.clear()
            await until(lambda: drained(client, writer.stream, group))
        assert first.sequences() == {"deliveries/1": [1]}
        assert second.sequences() == {"deliveries/1": list(range(2, 60))}
    await stalling.aclose()


async def test_a_later_epoch_comes_after_an_earlier_one(client: redis.Redis, writer: Writer, group: str) -> None:
    later = Writer(client, writer.city_code, epoch=2)
    await later.append(event_bytes("deliveries/1", 3, writer.city_code))
    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    await writer.append(event_bytes("deliveries/1", 2, writer.city_code))
    handler = Recorder(group)
    async with consuming(client, handler):
        await until(lambda: handler.sequences() == {"deliveries/1": [1, 2, 3]})


async def test_a_stop_lets_a_running_batch_end_and_leaves_the_rest(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    class Slow(Recorder):
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def handle(self, batch: Sequence[Event]) -> None:
            self.begun.set()
            await self.may_end.wait()
            await super().handle(batch)

    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    handler, stop = Slow(group), asyncio.Event()
    running = asyncio.create_task(Consumer(client, handler, QUICK).run(stop))
    await handler.begun.wait()
    stop.set()
    handler.may_end.set()
    await running
    assert len(handler.seen) == 1
    assert await drained(client, writer.stream, group)
