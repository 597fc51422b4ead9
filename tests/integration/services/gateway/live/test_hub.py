"""A hub on a real Redis: the log's order over all cities, resumes from memory and from the streams, and their ends."""

import asyncio
import tracemalloc

import pytest
import redis.asyncio as redis

from libs.grpc_server.identity import Role
from libs.streams.names import FIELD, STREAMS
from services.gateway.live.audience import Audience
from services.gateway.live.feed import CHUNK_BYTES, Feed
from services.gateway.live.hub import Hub
from services.gateway.live.limits import LiveLimits
from tests.consumers import until
from tests.integration.services.gateway.live.conftest import OPS, SMALL, Client, Hubs, Log
from tests.live import Parser


async def test_events_of_all_cities_come_in_the_logs_order_though_reads_are_cut_short(hub: Hub, log: Log) -> None:
    client = Client(hub, None)
    await client.follows()
    # Far more of one city than a read takes, between others.
    await log.write(40, [log.cities[0]] * 9 + [log.cities[1]])
    await client.has(range(1, 41))
    await log.write(5)
    await client.has(range(1, 46))
    await client.close()


async def test_a_city_whose_first_event_comes_now_is_not_read_late(hub: Hub, log: Log) -> None:
    client = Client(hub, None)
    await client.follows()
    await log.write(3, [log.cities[0]])
    await client.has([1, 2, 3])
    await log.write(12, [log.cities[1], log.cities[0], log.cities[2]])
    await client.has(range(1, 16))
    await client.close()


@pytest.mark.parametrize("last", [0, 1, 37, 95, 119, 120])
async def test_a_client_resumes_anywhere_without_loss_or_doubling(hub: Hub, log: Log, last: int) -> None:
    await log.write(120)
    await until(lambda: hub.position == log.position(120))
    resumed = Client(hub, log.position(last))
    for _ in range(10):
        await log.write(3)
        await asyncio.sleep(0.01)
    await resumed.has(range(last + 1, 151))
    await resumed.close()


async def test_a_client_that_falls_behind_again_while_it_catches_up_gets_nothing_twice(hub: Hub, log: Log) -> None:
    await log.write(40)
    await until(lambda: hub.position == log.position(40))
    frames, parser, got = Feed(hub, OPS, log.position(15), SMALL).frames(), Parser(), []
    # Some come from the streams, the rest from what the hub remembers; then it forgets all of that.
    for end in (40, 80):
        while end not in got:
            parsed = map(parser.feed, (await anext(frames)).decode().split("\n")[:-1])
            got += [int(event.data["sequence"]) for event in parsed if event]
        await log.write(40)
        await until(lambda e=end: hub.position == log.position(e + 40))
    await frames.aclose()
    assert got == list(range(16, 81))


async def test_a_gateway_that_has_just_started_resumes_what_it_has_never_seen(log: Log, hubs: Hubs) -> None:
    await log.write(120)
    async with hubs(SMALL) as hub:
        assert hub.position == log.position(120)
        for last in (0, 60, 119):
            resumed = Client(hub, log.position(last))
            await resumed.has(range(last + 1, 121))
            await resumed.close()


async def test_a_client_that_is_ahead_of_this_gateway_gets_nothing_twice(hub: Hub, log: Log) -> None:
    await log.write(10)
    await until(lambda: hub.position == log.position(10))
    ahead = Client(hub, log.position(13))
    await ahead.follows()
    await log.write(6)
    await ahead.has([14, 15, 16])
    await ahead.close()


async def test_what_was_trimmed_away_has_the_client_load_anew(hub: Hub, log: Log, client: redis.Redis) -> None:
    await log.write(120)
    await until(lambda: hub.position == log.position(120))
    await client.xtrim(log.stream(log.cities[0]), maxlen=30, approximate=False)
    gone, kept = Client(hub, log.position(5)), Client(hub, log.position(90))
    await kept.has(range(91, 121))
    await until(lambda: gone.said("reset") == ["TRIMMED"])
    await log.write(3)
    await gone.has([121, 122, 123])
    await kept.has(range(91, 124))
    for one in (gone, kept):
        await one.close()


async def test_who_was_away_for_too_much_has_to_load_anew(log: Log, hubs: Hubs) -> None:
    limits = SMALL.model_copy(update={"resumed_events_max": 50})
    async with hubs(limits) as hub:
        await log.write(120)
        await until(lambda: hub.position == log.position(120))
        far, near = Client(hub, log.position(5), limits), Client(hub, log.position(80), limits)
        await until(lambda: far.said("reset") == ["TOO_FAR"])
        await near.has(range(81, 121))
        for one in (far, near):
            await one.close()


async def test_a_new_epoch_has_everybody_load_anew_and_goes_on(hub: Hub, log: Log, client: redis.Redis) -> None:
    await log.write(10)
    following = Client(hub, log.position(0))
    await following.has(range(1, 11))
    later = Log(client, epoch=log.epoch + 1)
    await later.begin()
    await until(lambda: following.said("reset") == ["OTHER_EPOCH"])
    await later.write(4)
    await following.has([*range(1, 11), 1, 2, 3, 4])
    resumed = Client(hub, log.position(3))
    await until(lambda: resumed.said("reset") == ["OTHER_EPOCH"])
    for one in (following, resumed):
        await one.close()


async def test_where_something_else_fills_the_streams_nothing_is_resumed(hub: Hub, log: Log) -> None:
    await log.write(10)
    resumed = Client(hub, log.position(3), SMALL.model_copy(update={"resumable": False}))
    await until(lambda: resumed.said("reset") == ["NOT_RESUMABLE"])
    await resumed.close()


async def test_a_client_that_is_too_slow_is_told_and_resumes(hub: Hub, log: Log) -> None:
    slow, quick = Client(hub, None), Client(hub, None)
    for one in (slow, quick):
        await one.follows()
    slow.may_take.clear()
    for _ in range(20):
        await log.write(10)
        await asyncio.sleep(0.01)
    await quick.has(range(1, 201))
    slow.may_take.set()
    await until(lambda: not slow.is_open)
    assert slow.said("end") == ["LAGGING"]
    got = slow.sequences
    assert got == list(range(1, len(got) + 1))
    assert len(got) <= SMALL.queued_events_max + SMALL.read_events_max * len(log.cities)
    resumed = Client(hub, log.position(len(got)))
    await resumed.has(range(len(got) + 1, 201))
    for one in (quick, resumed):
        await one.close()


async def test_bytes_that_are_no_event_are_passed_over(hub: Hub, log: Log, client: redis.Redis) -> None:
    following = Client(hub, None)
    await following.follows()
    await log.write(3)
    position = log.position(4)
    log.written += 1
    await client.xadd(log.stream(log.cities[0]), {FIELD: b"\xff no event"}, id=position.entry_id)
    await log.write(3)
    await following.has([1, 2, 3, 5, 6, 7])
    await following.close()


async def test_streams_that_come_later_than_the_gateway_are_followed(client: redis.Redis, hubs: Hubs) -> None:
    log = Log(client)
    async with hubs(SMALL) as hub:
        following = Client(hub, None)
        await following.follows()
        await log.begin()
        await log.write(4)
        await following.has([1, 2, 3, 4])
        assert following.said("reset") == []
        resumed = Client(hub, log.position(2))
        await resumed.has([3, 4])
        for one in (following, resumed):
            await one.close()
    assert await client.scard(STREAMS) > 0


async def test_a_thousand_followers_cost_one_reader_and_little_memory(log: Log, hubs: Hubs) -> None:
    limits = LiveLimits(heartbeat_s=5, queued_events_max=100, recent_events_max=200)
    async with hubs(limits) as hub:
        slow = [Client(hub, None, limits) for _ in range(480)]
        quick = [Client(hub, None, limits) for _ in range(20)]
        elsewhere = [Audience(Role.MERCHANT, merchant_id=f"merchant-{n}") for n in range(500)]
        others = [Client(hub, None, limits, audience) for audience in elsewhere]
        await until(lambda: sum(1 for _ in hub) == 1_000)
        for client in slow:
            client.may_take.clear()
        tracemalloc.start()
        held_bytes = []
        for sequence in range(50, 501, 50):
            await log.write(50)
            await until(lambda sequence=sequence: all(client.sequences[-1:] == [sequence] for client in quick))
            # What the quick ones have taken is theirs.
            taken = [client.sequences for client in quick]
            for client in quick:
                client.events = client.events[-1:]
            assert all(sequences[-50:] == list(range(sequence - 49, sequence + 1)) for sequences in taken)
            held_bytes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        # A piece that is on its way to each slow one, and the events that are kept for all. Then nothing more.
        assert held_bytes[-1] < len(slow) * 2 * CHUNK_BYTES
        assert held_bytes[-1] - held_bytes[len(held_bytes) // 2] < 1_000_000
        assert all(not client.events for client in others)
        for client in slow:
            client.may_take.set()
        await until(lambda: all(client.said("end") == ["LAGGING"] for client in slow))
        for client in (*quick, *others):
            await client.close()
        assert list(hub) == []
