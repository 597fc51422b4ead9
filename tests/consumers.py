"""Consumers for tests: quick limits, a handler that records, and waiting for a condition."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import redis.asyncio as redis

from libs.streams import groups
from libs.streams.codec import Event
from libs.streams.consumer import Consumer
from libs.streams.limits import ConsumerLimits

DEADLINE_S = 30.0
QUICK = ConsumerLimits(
    read_block_ms=50, lease_ttl_s=1.0, lease_renew_s=0.1, backoff_s_min=0.01, backoff_s_max=0.05, attempts_max=3,
    outage_wait_s=0.05, drain_s=5.0,
)  # fmt: skip


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


class Recorder:
    """A handler that notes what it was given."""

    types: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Event] = []
        self.batches: list[int] = []

    async def handle(self, batch: Sequence[Event]) -> None:
        self.batches.append(len(batch))
        self.seen += batch

    def sequences(self) -> dict[str, list[int]]:
        found = defaultdict(list)
        for event in self.seen:
            found[event.subject].append(event.message.sequence)
        return dict(found)


@asynccontextmanager
async def consuming(client: redis.Redis, handler: object, limits: ConsumerLimits = QUICK) -> AsyncIterator[Consumer]:
    """A running consumer that is drained at the end."""
    consumer, stop = Consumer(client, handler, limits), asyncio.Event()
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        await running


async def drained(client: redis.Redis, stream: str, group: str) -> bool:
    return await groups.is_drained(client, stream, group)
