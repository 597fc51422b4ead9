"""A consumer on a real Redis: batches, order, retries, dead letters."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import pytest
import redis.asyncio as redis

from libs.streams import dead_letters
from libs.streams.codec import Event
from libs.streams.handler import TryLaterError
from tests.consumers import QUICK, Recorder, consuming, drained, until
from tests.events import Writer, event_bytes


async def test_a_new_group_begins_at_the_start_and_gets_everything_in_batches(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    await writer.append_interleaved(subjects=40, events_each=5)
    handler = Recorder(group)
    async with consuming(client, handler):
        await until(lambda: drained(client, writer.stream, group))
    assert handler.sequences() == {f"deliveries/{n}": [1, 2, 3, 4, 5] for n in range(40)}
    assert max(handler.batches) == 200
    assert await client.xinfo_consumers(writer.stream, group) == []


async def test_only_the_types_asked_for_reach_the_handler_and_all_are_acknowledged(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    handler = Recorder(group)
    handler.types = frozenset({"lastmile.merchant.created.v1"})
    async with consuming(client, handler):
        await until(lambda: drained(client, writer.stream, group))
    assert handler.seen == []


async def test_150_events_are_handled_at_once_by_setting_alone(client: redis.Redis, writer: Writer, group: str) -> None:
    class Waiting(Recorder):
        at_once = most = 0
        all_here = asyncio.Event()

        async def handle(self, batch: Sequence[Event]) -> None:
            self.at_once += 1
            if self.at_once == 150:
                self.all_here.set()
            await self.all_here.wait()
            self.most = max(self.most, self.at_once)
            self.at_once -= 1
            await super().handle(batch)

    await writer.append_interleaved(subjects=300, events_each=2)
    handler = Waiting(group)
    async with consuming(client, handler, QUICK.model_copy(update={"tasks_max": 150, "batch_events_max": 1})):
        await until(lambda: drained(client, writer.stream, group))
    assert handler.most == 150
    assert set(handler.batches) == {1}
    assert all(sequences == [1, 2] for sequences in handler.sequences().values())


@pytest.mark.parametrize("limits", [{"tasks_max": 1}, {"tasks_max": 20, "batch_events_max": 3}])
async def test_order_is_kept_when_events_fail_for_a_while(
    client: redis.Redis, writer: Writer, group: str, limits: dict[str, int]
) -> None:
    class Flaky(Recorder):
        failures: ClassVar[Counter[str]] = Counter()

        async def handle(self, batch: Sequence[Event]) -> None:
            for event in batch:
                number = int(event.subject.rpartition("/")[2])
                if event.message.sequence == 2 and number % 3 == 0 and self.failures[event.id] < 2:
                    self.failures[event.id] += 1
                    raise ValueError("not yet")
            await super().handle(batch)

    await writer.append_interleaved(subjects=30, events_each=4)
    handler = Flaky(group)
    async with consuming(client, handler, QUICK.model_copy(update=limits)):
        await until(lambda: drained(client, writer.stream, group))
    assert handler.sequences() == {f"deliveries/{n}": [1, 2, 3, 4] for n in range(30)}
    assert await dead_letters.count(client, [writer.city_code], group) == 0


async def test_what_never_works_becomes_a_dead_letter_and_is_replayed_to_its_group_alone(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    class Picky(Recorder):
        healed = False

        async def handle(self, batch: Sequence[Event]) -> None:
            if not self.healed and any(event.subject == "deliveries/3" for event in batch):
                raise ValueError("no number 3")
            await super().handle(batch)

    handler, other = Picky(group), Recorder(f"{group}_other")
    await writer.append_interleaved(subjects=10, events_each=1)
    async with consuming(client, handler), consuming(client, other):
        await until(lambda: drained(client, writer.stream, group))
        assert "deliveries/3" not in handler.sequences()
        (letter,) = [letter async for letter in dead_letters.letters(client, writer.city_code, group)]
        assert letter.reason == "ValueError: no number 3"
        assert letter.attempts == QUICK.attempts_max + 1
        assert b"data_base64" in letter.raw
        handler.healed = True
        await dead_letters.replay(client, group, [letter])
        await until(lambda: "deliveries/3" in handler.sequences())
        await until(lambda: drained(client, writer.stream, other.name))
    assert await dead_letters.count(client, [writer.city_code], group) == 0
    assert Counter(event.subject for event in other.seen)["deliveries/3"] == 1


async def test_an_undecodable_event_is_kept_with_its_bytes_and_blocks_nothing(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    bad = b"\xff\x00 no event"
    await writer.append(bad, event_bytes("deliveries/1", 1, writer.city_code))
    handler = Recorder(group)
    async with consuming(client, handler):
        await until(lambda: drained(client, writer.stream, group))
        await until(lambda: bool(handler.seen))
    (letter,) = [letter async for letter in dead_letters.letters(client, writer.city_code, group)]
    assert letter.raw == bad
    assert letter.reason.startswith("UNDECODABLE: ")
    assert handler.sequences() == {"deliveries/1": [1]}


async def test_an_outage_of_what_the_handler_needs_costs_no_event(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    class NeedsDatabase(Recorder):
        calls = 0

        async def handle(self, batch: Sequence[Event]) -> None:
            self.calls += 1
            if self.calls <= 4 * QUICK.attempts_max:
                raise TryLaterError("away")
            await super().handle(batch)

    await writer.append_interleaved(subjects=5, events_each=2)
    handler = NeedsDatabase(group)
    async with consuming(client, handler):
        await until(lambda: drained(client, writer.stream, group))
    assert handler.sequences() == {f"deliveries/{n}": [1, 2] for n in range(5)}
    assert await dead_letters.count(client, [writer.city_code], group) == 0


async def test_a_handler_that_hangs_is_ended_and_its_event_given_up(
    client: redis.Redis, writer: Writer, group: str
) -> None:
    class Hanging(Recorder):
        async def handle(self, batch: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    await writer.append(event_bytes("deliveries/1", 1, writer.city_code))
    async with consuming(client, Hanging(group), QUICK.model_copy(update={"handle_timeout_s": 0.05})):
        await until(lambda: drained(client, writer.stream, group))
    (letter,) = [letter async for letter in dead_letters.letters(client, writer.city_code, group)]
    assert letter.reason.startswith("HandlerTimeoutError")
