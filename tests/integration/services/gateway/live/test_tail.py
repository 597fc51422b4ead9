"""One read of many streams: the whole gateway waits while its answer is taken apart."""

import redis.asyncio as redis

from services.gateway.live.position import Position
from services.gateway.live.tail import StreamTail
from tests.integration.services.gateway.live.conftest import Log

CITIES, EVENTS_MAX = 20, 40


async def drain(tail: StreamTail) -> list[list[Position]]:
    """Return the positions of each read until there are no more."""
    reads = []
    while True:
        found = await tail.read()
        reads.append([entry.position for entry in found.entries])
        if not found.has_more:
            return reads


async def test_a_read_takes_so_many_of_all_streams_together(client: redis.Redis) -> None:
    log = Log(client, CITIES)
    await log.begin()
    await log.write(CITIES * 30)
    tail = StreamTail(client, EVENTS_MAX)
    tail.start(Position(log.epoch, 0, 0))
    reads = await drain(tail)
    assert max(map(len, reads)) <= EVENTS_MAX
    assert [position for read in reads for position in read] == [log.position(n + 1) for n in range(log.written)]


async def test_a_busy_city_alone_is_read_in_few_reads(client: redis.Redis) -> None:
    log = Log(client, CITIES)
    await log.begin()
    await log.write(CITIES)
    await log.write(50 * EVENTS_MAX, log.cities[:1])
    tail = StreamTail(client, EVENTS_MAX)
    tail.start(Position(log.epoch, 0, 0))
    reads = await drain(tail)
    assert len(reads) < 70
    assert [position for read in reads for position in read] == [log.position(n + 1) for n in range(log.written)]
