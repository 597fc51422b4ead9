"""A Redis with streams of several cities, filled as the relay fills them, and a hub that reads them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Role
from libs.streams.names import EPOCHS, FIELD, GROUPS, STREAMS, StreamName
from libs.streams.run import connect
from services.gateway.live.audience import Audience
from services.gateway.live.feed import Feed
from services.gateway.live.hub import Hub
from services.gateway.live.limits import LiveLimits
from services.gateway.live.position import Position
from services.gateway.rest.codec import GoogleJsonCodec
from tests.consumers import QUICK, until
from tests.events import event_bytes, new_city
from tests.live import Parser, Sse

OPS = Audience(Role.OPS)
SMALL = LiveLimits(
    heartbeat_s=0.1, read_block_ms=50, outage_wait_s=0.05, read_events_max=7, recent_events_max=20, queued_events_max=50
)
Hubs = Callable[[LiveLimits], AbstractAsyncContextManager[Hub]]


class Log:
    """Appends to the streams of some cities in the order of one log, several in one transaction."""

    def __init__(self, client: redis.Redis, cities: int = 3, epoch: int = 5) -> None:
        self._client = client
        self.epoch = epoch
        self.cities = [new_city() for _ in range(cities)]
        self.written = 0

    async def begin(self) -> None:
        await self._client.sadd(EPOCHS, self.epoch)

    async def write(self, events: int, cities: Iterable[str] | None = None) -> None:
        """Each event's sequence is its place in the log; the cities take turns."""
        chosen = list(cities or self.cities)
        async with self._client.pipeline(transaction=True) as pipeline:
            for _ in range(events):
                self.written += 1
                city = chosen[self.written % len(chosen)]
                stream = str(StreamName(city, self.epoch))
                pipeline.sadd(STREAMS, stream)
                content = event_bytes(f"deliveries/{city}", self.written, city)
                pipeline.xadd(stream, {FIELD: content}, id=f"{self.written // 3 + 1}-{self.written % 3}")
            await pipeline.execute()

    def position(self, sequence: int) -> Position:
        return Position(self.epoch, sequence // 3 + 1, sequence % 3)

    def stream(self, city: str) -> str:
        return str(StreamName(city, self.epoch))


class Client:
    """What a feed says, taken as a client would, or not taken at all."""

    def __init__(self, hub: Hub, last: Position | None, limits: LiveLimits = SMALL, audience: Audience = OPS) -> None:
        self.feed = Feed(hub, audience, last, limits)
        self.events: list[Sse] = []
        self.parser = Parser()
        self.may_take = asyncio.Event()
        self.may_take.set()
        self._task = asyncio.create_task(self._take())

    async def _take(self) -> None:
        async for frame in self.feed.frames():
            await self.may_take.wait()
            for line in frame.decode().split("\n")[:-1]:
                if (event := self.parser.feed(line)) is not None:
                    self.events.append(event)

    @property
    def sequences(self) -> list[int]:
        return [int(event.data["sequence"]) for event in self.events if "sequence" in event.data]

    @property
    def is_open(self) -> bool:
        return not self._task.done()

    def said(self, name: str) -> list[str]:
        return [event.data["reason"] for event in self.events if event.name == name]

    async def has(self, sequences: Iterable[int]) -> None:
        """Wait for exactly these, in this order."""
        wanted = list(sequences)
        await until(lambda: len(self.sequences) >= len(wanted) or not self.is_open)
        assert self.sequences == wanted

    async def follows(self) -> None:
        """Wait until it has what there was."""
        await until(lambda: any(comment for comment in self.parser.comments))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def client(embedded_servers: EmbeddedServers) -> AsyncIterator[redis.Redis]:
    async with connect(embedded_servers.redis_url, QUICK) as made:
        await made.delete(STREAMS, GROUPS, EPOCHS)
        yield made
        await made.delete(STREAMS, GROUPS, EPOCHS)


@pytest.fixture
async def log(client: redis.Redis) -> Log:
    made = Log(client)
    await made.begin()
    return made


@pytest.fixture
def hubs(embedded_servers: EmbeddedServers) -> Hubs:
    """Runs a hub."""

    @asynccontextmanager
    async def running(limits: LiveLimits) -> AsyncIterator[Hub]:
        hub, stop = Hub(embedded_servers.redis_url, GoogleJsonCodec(), limits), asyncio.Event()
        task = asyncio.create_task(hub.run(stop))
        await until(lambda: hub.has_begun)
        yield hub
        stop.set()
        await task

    return running


@pytest.fixture
async def hub(log: Log, hubs: Hubs) -> AsyncIterator[Hub]:
    async with hubs(SMALL) as made:
        yield made
