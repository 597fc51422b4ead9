"""The one reader of the streams in this process, and everybody who follows what it reads.

What is read is kept for a while, and given to the followers whom it may concern: they stand under headings, so an event
costs what it interests, however many others follow. A follower that falls behind is let go, and comes back.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from libs.streams.outages import REDIS_AWAY
from libs.telemetry import error_text
from services.gateway.live.audience import Audience, Heading
from services.gateway.live.codec import LiveEvent
from services.gateway.live.follower import End, Follower, Reset
from services.gateway.live.limits import LiveLimits
from services.gateway.live.position import Position
from services.gateway.live.tail import Entry, GapError, Round, StreamTail
from services.gateway.rest.codec import JsonCodec

log = logging.getLogger("live")


class Hub:
    """Reads and hands on."""

    def __init__(self, redis_url: str, codec: JsonCodec, limits: LiveLimits) -> None:
        self._limits = limits
        self._codec = codec
        # A reply that was lost has to be noticed: the server may have lost events with it.
        self._client = redis.from_url(
            redis_url, socket_timeout=limits.redis_timeout_s, socket_connect_timeout=limits.redis_timeout_s,
            retry=Retry(NoBackoff(), 0),
        )  # fmt: skip
        self._tail = StreamTail(self._client, limits.read_events_max)
        self._resuming = asyncio.Semaphore(limits.resumes_at_once_max)
        self._followers: dict[Heading, set[Follower]] = {}
        self._recent: deque[LiveEvent] = deque()
        # All events after this are in `_recent`.
        self._recent_after = Position(0, 0, 0)
        self.position = Position(0, 0, 0)
        self.has_begun = False
        self.is_away = True

    def __iter__(self) -> Iterator[Follower]:
        """Yield everybody who follows."""
        for followers in self._followers.values():
            yield from followers

    @property
    def epoch(self) -> int:
        """The epoch whose events are read."""
        return self.position.epoch

    def follow(self, audience: Audience, after: Position) -> Follower:
        """Begin to queue what comes from now on, and after a position."""
        follower = Follower(audience, max(after, self.position), self._limits.queued_events_max)
        self._followers.setdefault(audience.heading, set()).add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """End that."""
        followers = self._followers.get(follower.audience.heading, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(follower.audience.heading, None)

    def recent(self, after: Position) -> list[LiveEvent] | None:
        """Return the events after a position, if all of them are still here."""
        if after < self._recent_after:
            return None
        found = []
        for event in reversed(self._recent):
            if event.position <= after:
                break
            found.append(event)
        return found[::-1]

    def event_of(self, entry: Entry) -> LiveEvent:
        """Return an entry as an event."""
        return LiveEvent(entry, self._codec)

    async def read_on(self, tail: StreamTail) -> Round:
        """Read for one client what is no longer here; a few do at once."""
        async with self._resuming:
            return await tail.read()

    def tail_after(self, after: Position) -> StreamTail:
        """Return a reader of what is no longer here."""
        tail = StreamTail(self._client, self._limits.read_events_max)
        tail.start(after)
        return tail

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop` is set; then end every stream."""
        reading = asyncio.create_task(self._read_forever())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            for follower in list(self):
                follower.close(End.STOPPING)
            for task in (reading, stopping):
                task.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)
            await self._client.aclose()

    async def _read_forever(self) -> None:
        while True:
            try:
                if not self.has_begun:
                    self._begin(await self._tail.start_near_end(self._limits.recent_events_max))
                await self._read()
            except (*REDIS_AWAY, ResponseError) as error:
                if not self.is_away:
                    log.warning("the streams are away", extra={"error": error_text(error)})
                self.is_away = True
                self._tail.distrust()
                await asyncio.sleep(self._limits.outage_wait_s)
            except GapError as error:
                log.error("events went before they were read", extra={"error": str(error)})  # noqa: TRY400 - it says all
                self.has_begun = False

    async def _read(self) -> None:
        while True:
            found = await self._tail.read()
            self.is_away = False
            was_epoch = self.position.epoch
            if self._tail.epoch > was_epoch:
                self._begin(Position(self._tail.epoch, 0, 0))
                if was_epoch:
                    self._begin_all_anew(Reset.OTHER_EPOCH)
            for entry in found.entries:
                self._hand_on(self.event_of(entry))
            if found.has_more:
                await asyncio.sleep(0)
                continue
            if not self.has_begun:
                self.has_begun = True
                # Whoever follows already has missed what was trimmed.
                self._begin_all_anew(Reset.TRIMMED)
            await self._tail.wait(self._limits.read_block_ms)

    def _begin(self, after: Position) -> None:
        self._recent.clear()
        self._recent_after = self.position = after

    def _begin_all_anew(self, reason: Reset) -> None:
        for follower in self:
            follower.begin_anew(reason, self.position)

    def _hand_on(self, event: LiveEvent) -> None:
        self.position = event.position
        self._recent.append(event)
        if len(self._recent) > self._limits.recent_events_max:
            self._recent_after = self._recent.popleft().position
        if not (self.has_begun and self._followers) or event.concern is None:
            return
        for heading in event.concern.headings():
            for follower in self._followers.get(heading, ()):
                if follower.audience.sees(event.concern):
                    follower.offer(event)
