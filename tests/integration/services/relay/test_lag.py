"""How long a commit takes to each place that follows it: measured here, judged by `make bench NAME=cqrs`.

What a test can say on any machine is that everything arrives, and in the order of the commits.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import quantiles

import asyncpg
import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_messages import emit
from libs.streams.codec import content_of, decode
from libs.streams.names import STREAMS, StreamName
from services.assignment.events import LOG_PREFIX
from tests.events import event_bytes, new_city
from tests.relays import relaying, until

pytestmark = pytest.mark.timeout(120)
COMMITS = 300
POLL_S = 0.002
# A place: yields the number of each commit that has arrived there, as it arrives.
Place = Callable[[EmbeddedServers, str], AsyncIterator[int]]


async def standby(servers: EmbeddedServers, city: str) -> AsyncIterator[int]:
    """What a query on the hot standby finds."""
    connection = await asyncpg.connect(servers.dsn(standby=True))
    last = 0
    try:
        while True:
            rows = await connection.fetch("SELECT number FROM public.lag WHERE number > $1 ORDER BY number", last)
            for row in rows:
                last = row["number"]
                yield last
            await asyncio.sleep(POLL_S)
    finally:
        await connection.close()


async def stream(servers: EmbeddedServers, city: str) -> AsyncIterator[int]:
    """What a consumer of the city's stream is given."""
    async with redis.from_url(servers.redis_url) as client:
        name, after = "", b"0-0"
        while not name:
            known = [StreamName.parse(member.decode()) for member in await client.smembers(STREAMS)]
            name = next((str(one) for one in known if one is not None and one.city_code == city), "")
            await asyncio.sleep(POLL_S)
        while True:
            for _, rows in await client.xread({name: after}, block=100):
                for after, fields in rows:
                    yield decode(name, after.decode(), content_of(fields)).message.sequence


# What follows the commits in another way has its place here too.
PLACES: dict[str, Place] = {"standby": standby, "stream": stream}


async def arrivals(place: AsyncIterator[int]) -> list[tuple[int, float]]:
    """When each commit arrives, until the last one has."""
    found = []
    async for number in place:
        found.append((number, time.monotonic()))
        if number == COMMITS:
            break
    return found


async def commit_all(servers: EmbeddedServers, city: str) -> list[float]:
    """When each commit was answered."""
    connection = await asyncpg.connect(servers.dsn())
    times_s = []
    for number in range(1, COMMITS + 1):
        async with connection.transaction():
            await connection.execute("INSERT INTO public.lag VALUES ($1)", number)
            await emit(connection, LOG_PREFIX, [event_bytes("deliveries/1", number, city).decode()])
        times_s.append(time.monotonic())
    await connection.close()
    return times_s


async def test_every_commit_arrives_everywhere_in_the_order_of_the_commits(
    servers: EmbeddedServers, primary: asyncpg.Connection, tmp_path: Path
) -> None:
    await primary.execute("CREATE TABLE public.lag (number integer PRIMARY KEY)")
    city = new_city()
    with relaying(servers, tmp_path / "relay.log") as relay:
        await asyncio.to_thread(until, relay.leads)
        waiting: dict[str, Awaitable[list[tuple[int, float]]]] = {
            name: asyncio.create_task(arrivals(place(servers, city))) for name, place in PLACES.items()
        }
        committed_s = await commit_all(servers, city)
        for name, task in waiting.items():
            found = await asyncio.wait_for(task, 60)
            assert [number for number, _ in found] == list(range(1, COMMITS + 1)), name
            lags_ms = [(at_s - committed_s[number - 1]) * 1000 for number, at_s in found]
            cuts = quantiles(lags_ms, n=100)
            # `pytest -rP` shows it.
            print(f"commit -> {name}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")
