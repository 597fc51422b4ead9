"""Queries: cached answers through the gateway, commit to cache, and commands with and without readers beside them."""

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
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
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.report import Row, higher, lower, report
from tests.events import event_bytes
from tests.rest import Json, Rest, details

CONNECTIONS, ROUND_S, WARM_S = 16, 8.0, 2.0
PER_CORE_TARGET, P99_MS_TARGET = 1_000.0, 30.0
# Each looks every five seconds.
DASHBOARDS, LOOK_EVERY_S = 2_000, 5.0
COMMITS_PER_S, INVALIDATED_MS_TARGET = 500, 25.0
COMMANDS_PER_S, MOVED_MAX = 20, 1.2
PARTNERS = 50


@dataclass
class Reader:
    """One connection to the gateway that asks for the same again and again; a client that costs next to nothing."""

    url: str
    request: bytes

    @classmethod
    def of(cls, url: str, path: str, key: str) -> "Reader":
        host = urlsplit(url).netloc
        return cls(url, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode())

    async def read_for(self, until_s: float, every_s: float, ways_ms: list[float], head: list[bytes]) -> None:
        """Ask until a time, at most once in `every_s`; add how long each answer took."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        next_s = time.perf_counter()
        while time.perf_counter() < until_s:
            started_s = time.perf_counter()
            writer.write(self.request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            ways_ms.append((time.perf_counter() - started_s) * 1_000)
            head[:] = [answer]
            next_s += every_s
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
        writer.close()


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


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


async def commit_to_cache(stack: RunningStack, folder: Path) -> list[Row]:
    """How long it takes from before a commit until the cache knows that an answer is outdated."""
    script = folder / "commit.sql"
    text = event_bytes("deliveries/bench", 1, "BENCH").decode()
    script.write_text(f"SELECT pg_logical_emit_message(true, '{LOG_PREFIX}', '{text}');\n")
    load = pgbench(stack, script, COMMITS_PER_S, int(ROUND_S + WARM_S))
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
        Row(f"commit to cache p50, {COMMITS_PER_S} commits/s", statistics.median(ways_ms), "ms"),
        lower(f"commit to cache p99, {COMMITS_PER_S} commits/s", p99(ways_ms), "ms", "target", INVALIDATED_MS_TARGET),
    ]


async def commands_ms(url: str, key: str, body: Json, seconds: float) -> list[float]:
    """Return how long each command took, of a steady few a second."""
    found: list[float] = []
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
        ends_s = next_s = time.perf_counter()
        ends_s += seconds
        while time.perf_counter() < ends_s:
            started_s = time.perf_counter()
            answer = await client.post("/v1/deliveries", json=body)
            assert answer.status_code == 200, answer.text
            found.append((time.perf_counter() - started_s) * 1_000)
            next_s += 1 / COMMANDS_PER_S
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
    return found


async def commands_beside_readers(stack: RunningStack, rest: Rest, paths: list[str], city: str) -> list[Row]:
    """A command's slowest hundredth, alone and beside the reads of many dashboards, in turn."""
    body = {"details": details(city, merchantId=rest.merchant())}
    readers = [Reader.of(stack.base_url, paths[n % len(paths)], stack.ops_api_key) for n in range(CONNECTIONS)]
    every_s = CONNECTIONS / (DASHBOARDS / LOOK_EVERY_S)
    alone: list[float] = []
    beside: list[float] = []
    reads = 0
    for _ in range(4):
        alone += await commands_ms(stack.base_url, stack.ops_api_key, body, ROUND_S / 2)
        reading = asyncio.create_task(read_all(readers, ROUND_S / 2, every_s))
        beside += await commands_ms(stack.base_url, stack.ops_api_key, body, ROUND_S / 2)
        reads += len((await reading)[0])
    per_s = reads / (ROUND_S * 2)
    return [
        Row("command p99 alone", p99(alone), "ms"),
        Row(f"command p99 beside {per_s:,.0f} reads/s", p99(beside), "ms"),
        lower("command p99, times that of alone", p99(beside) / p99(alone), "times", "target", MOVED_MAX),
        lower(
            "command p50, times that of alone",
            statistics.median(beside) / statistics.median(alone),
            "times",
            "target",
            MOVED_MAX,
        ),
    ]


async def measure(stack: RunningStack, folder: Path) -> list[Row]:
    rest = Rest(stack.base_url, stack.ops_api_key)
    city = rest.city()
    partners = [rest.partner(city) for _ in range(PARTNERS)]
    profile, page = f"/v1/partners/{partners[0]}", f"/v1/partners?cityCode={city}"
    found = await cached(stack, profile, "cached partner profile")
    found += await cached(stack, page, f"cached list of {PARTNERS} partners")
    found += await commit_to_cache(stack, folder)
    return found + await commands_beside_readers(stack, rest, [profile, page], city)


def rows() -> list[Row]:
    """Run on a platform of its own."""
    print("queries", file=sys.stderr)
    # What is measured is the gateway, and not the limit of a caller.
    told = {"LASTMILE_GATEWAY_RATES__REQUESTS_MAX": "1000000", "LASTMILE_LOG_LEVEL": "INFO"}
    with tempfile.TemporaryDirectory() as folder, RunningStack(Path(folder) / "home", told) as stack:
        return uvloop.run(measure(stack, Path(folder)))


if __name__ == "__main__":
    report("cqrs_reads", rows())
