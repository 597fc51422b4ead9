"""Queries: cached answers through the gateway, commit to cache, and commands beside readers (`cqrs_commands`)."""

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil
import redis.asyncio as redis
import uvloop
from lastmile.assignment.v1 import partner_pb2
from lastmile.events.v1 import event_pb2

from libs.cache.entries import tag_key
from libs.embedded.stack import RunningStack
from libs.postgres.log_messages import emit
from services.assignment.cached_queries import partner_tag
from services.assignment.events import LOG_PREFIX, event_text
from tests.benchmarks import cqrs_commands
from tests.benchmarks.cqrs_commands import p99
from tests.benchmarks.http_client import Connection, request_of
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.report import Row, higher, lower, report
from tests.events import event_bytes
from tests.rest import Rest

CONNECTIONS, ROUND_S, WARM_S = 16, 8.0, 2.0
PER_CORE_TARGET, P99_MS_TARGET = 1_000.0, 30.0
# Commits a second -> the p99 to stay below.
TARGETS = {500: 25.0, 2_000: 150.0}
PARTNERS = 50


@dataclass
class Reader:
    """One connection to the gateway that asks for the same again and again."""

    url: str
    request: bytes

    @classmethod
    def of(cls, url: str, path: str, key: str) -> "Reader":
        return cls(url, request_of(url, path, key))

    async def read_for(self, until_s: float, every_s: float, ways_ms: list[float], head: list[bytes]) -> None:
        """Ask until a time, at most once in `every_s`; add how long each answer took."""
        connection = await Connection.open(self.url)
        next_s = time.perf_counter()
        while time.perf_counter() < until_s:
            started_s = time.perf_counter()
            answer = await connection.ask(self.request)
            assert answer.status == 200, answer
            ways_ms.append((time.perf_counter() - started_s) * 1_000)
            head[:] = [answer.head]
            next_s += every_s
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
        connection.close()


async def read_all(readers: list[Reader], seconds: float, every_s: float = 0.0) -> tuple[list[float], bytes]:
    """Have every reader read; return all their ways and the head of an answer."""
    ways_ms: list[float] = []
    head: list[bytes] = []
    until_s = time.perf_counter() + seconds
    await asyncio.gather(*(reader.read_for(until_s, every_s, ways_ms, head) for reader in readers))
    return ways_ms, head[0]


async def cached(stack: RunningStack, path: str, what: str) -> list[Row]:
    """How many requests a core of the gateway answers from the cache, and how long they take."""
    gateway = psutil.Process(stack.process("gateway").pid)
    readers = [Reader.of(stack.base_url, path, stack.ops_api_key) for _ in range(CONNECTIONS)]
    await read_all(readers, WARM_S)
    before = sum(gateway.cpu_times()[:2])
    ways_ms, head = await read_all(readers, ROUND_S)
    cpu_s = sum(gateway.cpu_times()[:2]) - before
    assert b"lastmile-source: cache" in head.lower(), head
    # At half of what it can do: a queue that never ends says nothing about a request.
    every_s = CONNECTIONS / (len(ways_ms) / ROUND_S / 2)
    calm_ms, _ = await read_all(readers, ROUND_S, every_s)
    return [
        higher(f"{what}: a gateway core", len(ways_ms) / cpu_s, "req/s", "target", PER_CORE_TARGET),
        Row(f"{what}: gateway, service and client on this machine", len(ways_ms) / ROUND_S, "req/s"),
        lower(f"{what}: p99 at half of that", p99(calm_ms), "ms", "target", P99_MS_TARGET),
    ]


async def commit_to_cache(stack: RunningStack, folder: Path, commits_per_s: int, p99_ms_max: float) -> list[Row]:
    """How long it takes from before a commit until the cache knows that an answer is outdated."""
    script = folder / "commit.sql"
    text = event_bytes("deliveries/bench", 1, "BENCH").decode()
    script.write_text(f"SELECT pg_logical_emit_message(true, '{LOG_PREFIX}', '{text}');\n")
    load = pgbench(stack, script, commits_per_s, int(ROUND_S + WARM_S))
    connection, client = await asyncpg.connect(stack.dsn()), redis.from_url(stack.redis_url)
    ways_ms: list[float] = []
    began_s = time.perf_counter()
    while load.poll() is None:
        partner_id = str(uuid.uuid4())
        event = event_pb2.Event(partner_changed=event_pb2.PartnerChanged(partner=partner_pb2.Partner(id=partner_id)))
        at = datetime.now(UTC)
        content = event_text(event, subject=f"partners/{partner_id}", city_code="BENCH", sequence=1, at=at)
        started_s = time.perf_counter()
        await emit(connection, LOG_PREFIX, [content])
        while not await client.exists(tag_key(partner_tag(partner_id))):
            pass
        if started_s - began_s > WARM_S:
            ways_ms.append((time.perf_counter() - started_s) * 1_000)
        await asyncio.sleep(0.02)
    await connection.close()
    await client.aclose()
    return [
        Row(f"commit to cache p50, {commits_per_s} commits/s", statistics.median(ways_ms), "ms"),
        lower(f"commit to cache p99, {commits_per_s} commits/s", p99(ways_ms), "ms", "target", p99_ms_max),
    ]


async def measure(stack: RunningStack, folder: Path) -> list[Row]:
    rest = Rest(stack.base_url, stack.ops_api_key)
    city = rest.city()
    partners = [rest.partner(city) for _ in range(PARTNERS)]
    profile, page = f"/v1/partners/{partners[0]}", f"/v1/partners?cityCode={city}"
    found = await cached(stack, profile, "cached partner profile")
    found += await cached(stack, page, f"cached list of {PARTNERS} partners")
    for commits_per_s, p99_ms_max in TARGETS.items():
        found += await commit_to_cache(stack, folder, commits_per_s, p99_ms_max)
    return found + await cqrs_commands.rows(stack)


def rows() -> list[Row]:
    """Run on a platform of its own."""
    print("queries", file=sys.stderr)
    # What is measured is the gateway, and not the limit of a caller.
    told = {"LASTMILE_GATEWAY_RATES__REQUESTS_MAX": "1000000", "LASTMILE_LOG_LEVEL": "INFO"}
    # For as long as it takes: nobody here asks for another.
    told["LASTMILE_GATEWAY_CREDENTIALS__TOKEN_S"] = "3600"
    # Services that only follow events have machines of their own where there is load.
    told["LASTMILE_SERVICES"] = "assignment"
    with tempfile.TemporaryDirectory() as folder, RunningStack(Path(folder) / "home", told) as stack:
        return uvloop.run(measure(stack, Path(folder)))


if __name__ == "__main__":
    report("cqrs_reads", rows())
