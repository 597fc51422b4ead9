"""Events and queries: commit to stream, standby and cache; BullMQ beside us; cached answers; commands and readers."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import asyncpg
import redis.asyncio as redis
import uvloop

from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_messages import emit
from libs.streams.codec import Event
from libs.streams.consumer import Consumer
from libs.streams.limits import ConsumerLimits
from libs.streams.names import FIELD
from libs.streams.run import connect
from services.assignment.events import LOG_PREFIX
from tests.benchmarks import bullmq_peer, cqrs_reads
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.report import Row, higher, lower, report
from tests.events import Writer, event_bytes
from tests.relays import RelayProcess, stream_of, until

# Commits a second -> the p99 to stay below.
TARGETS = {500: 25.0, 2_000: 150.0}
ROUND_S, WARM_S = 12, 3
PROBE_EVERY_S = 0.02
REPLAYED = "SELECT max(number) FROM public.replayed WHERE pg_is_in_recovery()"
BACKLOG, DRAIN_TARGET_PER_S = 100_000, 20_000.0
CITIES = 25
PEER_JOBS, PEER_TIMES, JOBS_AT_ONCE = 3_000, 10.0, 120
# Of these the peer is counted at its best.
PEER_AT_ONCE = (10, JOBS_AT_ONCE)
# The event says when it was written, by the clock that the reader has too: its way begins before its commit does.
SCRIPT = f"""
SELECT pg_logical_emit_message(true, '{LOG_PREFIX}', '{{"citycode":"BENCH","at":' ||
  extract(epoch from clock_timestamp()) || ',"data_base64":"{"A" * 700}"}}');
"""


async def ways_ms(servers: EmbeddedServers, client: redis.Redis, commits_per_s: int, folder: Path) -> list[float]:
    """Return, sorted, how long each event took from before its commit until a reader of the stream had it."""
    script = folder / "commit.sql"
    script.write_text(SCRIPT)
    stream = (await asyncio.to_thread(_bench_stream, servers)).encode()
    load = pgbench(servers, script, commits_per_s, ROUND_S + WARM_S)
    found: list[float] = []
    last, began_s = b"$", time.time()
    while load.poll() is None:
        for _, entries in await client.xread({stream: last}, block=200, count=1_000):
            now_s = time.time()
            last = entries[-1][0]
            if now_s - began_s > WARM_S:
                found += [(now_s - json.loads(fields[FIELD])["at"]) * 1_000 for _, fields in entries]
    return sorted(found)


async def replays_ms(servers: EmbeddedServers, commits_per_s: int, folder: Path) -> list[float]:
    """Return, sorted, how long it took from before a commit until the standby showed it, among so many others."""
    script = folder / "commit.sql"
    script.write_text(SCRIPT)
    primary, standby = await asyncpg.connect(servers.dsn()), await asyncpg.connect(servers.dsn(standby=True))
    await primary.execute("CREATE TABLE IF NOT EXISTS public.replayed (number bigint GENERATED ALWAYS AS IDENTITY)")
    while await standby.fetchval("SELECT to_regclass('public.replayed')") is None:
        await asyncio.sleep(PROBE_EVERY_S)
    load = pgbench(servers, script, commits_per_s, ROUND_S + WARM_S)
    found: list[float] = []
    began_s = time.perf_counter()
    while load.poll() is None:
        started_s = time.perf_counter()
        number = await primary.fetchval("INSERT INTO public.replayed DEFAULT VALUES RETURNING number")
        while (await standby.fetchval(REPLAYED) or 0) < number:
            pass
        if started_s - began_s > WARM_S:
            found.append((time.perf_counter() - started_s) * 1_000)
        await asyncio.sleep(PROBE_EVERY_S)
    await primary.close()
    await standby.close()
    return sorted(found)


def _bench_stream(servers: EmbeddedServers) -> str:
    import redis as blocking

    async def commit_one() -> None:
        connection = await asyncpg.connect(servers.dsn())
        await emit(connection, LOG_PREFIX, ['{"citycode":"BENCH","at":0}'])
        await connection.close()

    asyncio.run(commit_one())
    with blocking.Redis.from_url(servers.redis_url) as client:
        until(lambda: stream_of(client, "BENCH"))
        return str(stream_of(client, "BENCH"))


class Nothing:
    """A handler that does nothing, and says when it has done so often enough."""

    types: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, enough: int) -> None:
        self.name, self._left, self.done = name, enough, asyncio.Event()

    async def handle(self, batch: Sequence[Event]) -> None:
        self._left -= len(batch)
        if self._left <= 0:
            self.done.set()


async def events_per_s(client: redis.Redis, name: str, limits: ConsumerLimits) -> float:
    """Return how many of the backlog's events one consumer is given and done with in a second."""
    handler, stop = Nothing(name, BACKLOG), asyncio.Event()
    started_s = time.perf_counter()
    consumer = asyncio.create_task(Consumer(client, handler, limits).run(stop))
    await handler.done.wait()
    seconds = time.perf_counter() - started_s
    stop.set()
    await consumer
    return BACKLOG / seconds


async def relayed_per_s(servers: EmbeddedServers, client: redis.Redis, relay: RelayProcess) -> float:
    """Return how many events of a backlog in the log the relay appends in a second, its start not counted."""
    await asyncio.to_thread(relay.stop)
    connection = await asyncpg.connect(servers.dsn())
    for start in range(0, BACKLOG, 1_000):
        contents = [event_bytes(f"deliveries/{n}", 1, f"C{n % CITIES}").decode() for n in range(start, start + 1_000)]
        async with connection.transaction():
            await emit(connection, LOG_PREFIX, contents)
    await connection.close()
    relay.start()
    first_s = first = count = 0.0
    while count < BACKLOG:
        count = float(sum([await client.xlen(key) async for key in client.scan_iter("lastmile:events:{C*")]))
        if count and not first:
            first_s, first = time.perf_counter(), count
        await asyncio.sleep(0.02)
    return (count - first) / (time.perf_counter() - first_s)


async def measure(servers: EmbeddedServers, folder: Path) -> list[Row]:
    rows: list[Row] = []
    limits = ConsumerLimits(tasks_max=4, batch_events_max=200)
    single = ConsumerLimits(tasks_max=JOBS_AT_ONCE, batch_events_max=1)
    relay = RelayProcess(servers, folder / "relay.log", relay_retention__stream_events_kept="1000000")
    relay.start()
    async with connect(servers.redis_url, limits) as client:
        for commits_per_s, p99_ms_max in TARGETS.items():
            print(f"{commits_per_s} commits/s", file=sys.stderr)
            found = await ways_ms(servers, client, commits_per_s, folder)
            reached = f"{len(found) / ROUND_S:,.0f} commits/s"
            rows.append(Row(f"commit to stream p50, {reached}", found[len(found) // 2], "ms"))
            p99_ms = found[int(len(found) * 0.99)]
            rows.append(lower(f"commit to stream p99, {reached}", p99_ms, "ms", "target", p99_ms_max))
            replays = await replays_ms(servers, commits_per_s, folder)
            rows.append(Row(f"commit to standby p50, {commits_per_s:,} commits/s", replays[len(replays) // 2], "ms"))
            p99_ms = replays[int(len(replays) * 0.99)]
            what = f"commit to standby p99, {commits_per_s:,} commits/s"
            rows.append(lower(what, p99_ms, "ms", "target", p99_ms_max))
        print("backlogs", file=sys.stderr)
        relayed = await relayed_per_s(servers, client, relay)
        rows.append(higher("relay drains the log", relayed, "events/s", "target", DRAIN_TARGET_PER_S))
        await asyncio.to_thread(relay.stop)
        await client.flushall()
        for number in range(CITIES):
            writer = Writer(client, f"C{number}")
            for start in range(0, BACKLOG // CITIES, 1_000):
                subjects = range(start, start + 1_000)
                await writer.append(*(event_bytes(f"deliveries/{n}", 1, f"C{number}") for n in subjects))
        batched = await events_per_s(client, "batched", limits)
        rows.append(higher("consumer drains in batches", batched, "events/s", "target", DRAIN_TARGET_PER_S))
        one_by_one = await events_per_s(client, "single", single)
        print("bullmq", file=sys.stderr)
        content = event_bytes("deliveries/1", 1, "C1").decode()
        ask = partial(bullmq_peer.jobs_per_s, servers.redis_url, PEER_JOBS, content)
        peer = max([await asyncio.to_thread(ask, at_once) for at_once in PEER_AT_ONCE])
        rows.append(higher("consumer in batches", batched, "jobs/s", "bullmq", peer))
        rows.append(higher(f"consumer, {JOBS_AT_ONCE} tasks of one", one_by_one, "jobs/s", "bullmq", peer))
        rows.append(higher("times bullmq, in batches", batched / peer, "times", "target", PEER_TIMES))
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"LASTMILE_REDIS_MEMORY_MB_MAX": "1024"}
        with EmbeddedServers(Path(folder) / "home", environment) as servers:
            rows = uvloop.run(measure(servers, Path(folder)))
        rows += cqrs_reads.rows()
    report("cqrs", rows)


if __name__ == "__main__":
    main()
