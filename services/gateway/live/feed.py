"""What one client gets: what it missed, then what happens, and in between that its stream lives."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from redis.exceptions import ResponseError

from libs.streams.outages import REDIS_AWAY
from services.gateway.live.audience import Audience
from services.gateway.live.codec import LiveEvent, frame_of
from services.gateway.live.follower import End, Follower, Reset
from services.gateway.live.hub import Hub
from services.gateway.live.limits import LiveLimits
from services.gateway.live.position import Position
from services.gateway.live.tail import Entry, GapError, StreamTail

# Written at once: what uvicorn takes before it waits for the client.
CHUNK_BYTES = 32 * 1024
EVENTS_AT_A_TIME = 50
_SAID = {
    End.LAGGING: "the client takes events more slowly than they come; it may go on from the last one",
    End.CREDENTIAL_ENDED: "the credential has expired or was revoked",
    End.STOPPING: "this gateway stops; another one goes on from the last event",
    Reset.TRIMMED: "events after the last one that the client had are no longer kept",
    Reset.OTHER_EPOCH: "the event streams were begun anew; events may be missing in between",
    Reset.TOO_FAR: "there are more events after the last one that the client had than are read through for it",
    Reset.NOT_RESUMABLE: "this installation's events cannot be resumed",
}


class Feed:
    """One open stream."""

    def __init__(self, hub: Hub, audience: Audience, last: Position | None, limits: LiveLimits) -> None:
        """`last` is where a client that comes back was; None begins with what happens from now on."""
        self._hub = hub
        self._audience = audience
        self._last = last
        self._limits = limits
        self._follower: Follower | None = None
        self._end: End | None = None

    def close(self, reason: End) -> None:
        """End the stream; the client is told why."""
        self._end = self._end or reason
        if self._follower is not None:
            self._follower.close(reason)

    @property
    def ended_with(self) -> str:
        """Why this side ended it; empty where the client did."""
        return self._end or ""

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield what is written to the client, until the stream ends."""
        yield f"retry: {self._limits.reconnect_ms}\n\n".encode()
        try:
            async for chunk in self._missed():
                yield chunk
            async for chunk in self._happening():
                yield chunk
        finally:
            if self._follower is not None:
                self._hub.leave(self._follower)
        if self._end is not None:
            yield _told("end", None, self._end)

    async def _missed(self) -> AsyncIterator[bytes]:
        """Yield what came after the client's last event, and begin to follow where that ends."""
        last, hub = self._last, self._hub
        anew = Reset.NOT_RESUMABLE if last is not None and not self._limits.resumable else None
        if last is None:
            last = hub.position
            yield f"id: {last}\n\n".encode()
        tail: StreamTail | None = None
        read_through = 0
        while self._end is None:
            # 0 is before the first epoch: nothing is missing then.
            if last.epoch not in (0, hub.epoch):
                anew = anew or Reset.OTHER_EPOCH
            if anew is not None:
                last, tail, read_through = hub.position, None, 0
                yield _told("reset", last, anew)
                anew = None
            events = hub.recent(last)
            if events == []:
                self._follower = hub.follow(self._audience, last)
                return
            if events is None:
                tail = tail or hub.tail_after(last)
                try:
                    entries = await self._read_on(tail)
                except GapError:
                    anew = Reset.TRIMMED
                    continue
                read_through += len(entries)
                if read_through > self._limits.resumed_events_max:
                    anew = Reset.TOO_FAR
                    continue
                if not entries:
                    yield self._heartbeat()
                    continue
                last = entries[-1].position
                events = [hub.event_of(entry) for entry in entries if self._audience.might_see(entry.content)]
            else:
                # The reader stands where it was before these: whoever needs one again begins after them.
                last, tail = events[-1].position, None
            async for chunk in self._shown(events):
                yield chunk

    async def _read_on(self, tail: StreamTail) -> list[Entry]:
        """Return what comes next of what the hub has forgotten; nothing when that has to be waited for."""
        try:
            found = await self._hub.read_on(tail)
            if found.entries:
                return found.entries
            await tail.wait(self._limits.read_block_ms)
        except (*REDIS_AWAY, ResponseError):
            tail.distrust()
            await asyncio.sleep(self._limits.outage_wait_s)
        return []

    async def _happening(self) -> AsyncIterator[bytes]:
        follower = self._follower
        while follower is not None:
            if follower.reset is not None:
                yield _told("reset", follower.after, follower.reset)
                follower.reset = None
            events = follower.take()
            async for chunk in self._shown(events):
                yield chunk
            if follower.end is not None:
                self._end = follower.end
                return
            if not events:
                await follower.movement(self._limits.heartbeat_s)
                if follower.is_idle:
                    yield self._heartbeat(max(follower.after, self._hub.position))

    async def _shown(self, events: Sequence[LiveEvent]) -> AsyncIterator[bytes]:
        """Yield what the client sees of `events`, in pieces."""
        chunk: list[bytes] = []
        size = 0
        for place, event in enumerate(events, 1):
            if event.concern is not None and self._audience.sees(event.concern):
                chunk.append(event.frame(self._audience))
                size += len(chunk[-1])
            if size >= CHUNK_BYTES:
                yield b"".join(chunk)
                chunk, size = [], 0
            if place % EVENTS_AT_A_TIME == 0:
                # Others want to be served too.
                await asyncio.sleep(0)
        if chunk:
            yield b"".join(chunk)

    def _heartbeat(self, position: Position | None = None) -> bytes:
        """Return a comment, and an id without an event: the client comes back to there, and not to its last event."""
        state = "the event streams are away; this goes on when they are back" if self._hub.is_away else "alive"
        told = "" if position is None else f"id: {position}\n"
        return f": {state} {datetime.now(UTC).isoformat(timespec='seconds')}\n{told}\n".encode()


def _told(name: str, position: Position | None, reason: End | Reset) -> bytes:
    return frame_of(position, name, json.dumps({"reason": reason, "detail": _SAID[reason]}).encode())
