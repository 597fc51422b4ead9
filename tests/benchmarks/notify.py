"""Notifications: text messages planned from events and sent to a local provider, beside BullMQ's Python port."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import redis.asyncio as redis
import uvloop

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from tests.benchmarks import bullmq_sends
from tests.benchmarks.report import Row, higher, report
from tests.events import Writer
from tests.notifications import notifications_on

MESSAGES, CITIES = 8_000, 8
# Of these the first wait for the processes to start.
STARTED = 100
TARGET_PER_S, PEER_TIMES = 1_500.0, 3.0
PEER_JOBS = 3_000
# Of these the peer is counted at its best.
PEER_AT_ONCE = (10, 64)
TOLD = {
    "LASTMILE_NOTIFICATION_ROUTES": json.dumps({"sms": ["twilio"]}),
    "LASTMILE_NOTIFICATION_PLAN__QUIET_FROM_MIN": "0",
    "LASTMILE_NOTIFICATION_PLAN__QUIET_UNTIL_MIN": "0",
    "LASTMILE_NOTIFICATION_TWILIO_ACCOUNT_SID": "AC0123456789",
    "LASTMILE_NOTIFICATION_TWILIO_AUTH_TOKEN": "secret",
    "LASTMILE_NOTIFICATION_TWILIO_SENDER": "+15005550006",
    "LASTMILE_NOTIFICATION_TWILIO_RATE_PER_S_MAX": "100000",
    "LASTMILE_LOG_LEVEL": "WARNING",
}


@contextmanager
def provider() -> Iterator[int]:
    """A provider in a process of its own; yields its port."""
    command = [sys.executable, "-m", "tests.benchmarks.provider_peer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.terminate()


@contextmanager
def worker(kind: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the service."""
    port, metrics_port = free_ports(2)
    own = {
        f"LASTMILE_NOTIFICATION_{kind.upper()}_PORT": str(port),
        f"LASTMILE_NOTIFICATION_{kind.upper()}_METRICS_PORT": str(metrics_port),
    }
    process = subprocess.Popen([sys.executable, "-m", "services.notification", kind], env=environment | own)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


async def tell(servers: EmbeddedServers, client: redis.Redis) -> None:
    """Publish deliveries with a customer each, as the relay would, that have all been delivered."""
    async with notifications_on(servers) as notifications:
        for city in range(CITIES):
            first = notifications.story()
            writer = Writer(client, first.city_code)
            await writer.append(*(event.raw for event in first.prologue()))
            for start in range(0, MESSAGES // CITIES, 500):
                raws: list[bytes] = []
                for number in range(start, min(start + 500, MESSAGES // CITIES)):
                    story = first.next_delivery()
                    raws += (story.created(f"+9198{city}{number:07}").raw, story.became("delivered").raw)
                await writer.append(*raws)


async def taken(port: int) -> int:
    """Return how many messages the provider has taken."""
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"http://127.0.0.1:{port}/")).text)


async def ended(owner: asyncpg.Connection) -> dict[str, int]:
    """Return the messages by state, once every one has been planned and is done with."""
    while True:
        states = dict(await owner.fetch("SELECT state, count(*) FROM notification.messages GROUP BY state"))
        if sum(states.values()) == MESSAGES and not states.keys() & {"planned", "sending"}:
            return states
        await asyncio.sleep(0.2)


async def ours_per_s(servers: EmbeddedServers, port: int) -> float:
    """Return how many messages a second one consumer and two senders plan and send, their start not counted."""
    told = TOLD | {"LASTMILE_NOTIFICATION_TWILIO_BASE_URL": f"http://127.0.0.1:{port}"}
    environment = {**os.environ, **servers.service_environment, **told}
    async with redis.from_url(servers.redis_url) as client:
        await tell(servers, client)
    owner = await asyncpg.connect(servers.dsn())
    with worker("sender", environment), worker("sender", environment), worker("consumer", environment):
        while (before := await taken(port)) < STARTED:
            await asyncio.sleep(0.05)
        started_s = time.perf_counter()
        states = await ended(owner)
        seconds = time.perf_counter() - started_s
    await owner.close()
    print(f"states {states}, taken {await taken(port)}", file=sys.stderr)
    return (MESSAGES - before) / seconds


async def measure(servers: EmbeddedServers) -> list[Row]:
    with provider() as port:
        print("planning and sending", file=sys.stderr)
        ours = await ours_per_s(servers, port)
    rows = [higher("planned and sent", ours, "messages/s", "target", TARGET_PER_S)]
    for client in bullmq_sends.CLIENTS:
        peer = await best_of_peer(servers, client)
        rows += [
            higher("planned and sent", ours, "messages/s", f"bullmq, sent over {client}", peer),
            higher(f"times bullmq over {client}", ours / peer, "times", "target", PEER_TIMES),
        ]
    return rows


async def best_of_peer(servers: EmbeddedServers, client: str) -> float:
    """Return how many messages a second the peer sends over a client, at its best."""
    found = []
    with provider() as port:
        for at_once in PEER_AT_ONCE:
            print(f"bullmq over {client}, {at_once} at once", file=sys.stderr)
            told = (servers.redis_url, PEER_JOBS, at_once, port, client)
            found.append(await asyncio.to_thread(bullmq_sends.sends_per_s, *told))
    return max(found)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder) / "home") as servers:
        rows = uvloop.run(measure(servers))
    report("notify", rows)


if __name__ == "__main__":
    main()
