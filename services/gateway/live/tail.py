"""Reads the streams of all cities as the one log they come from: in its order, and none left out.

The relay appends what it reads from the log to several streams in one transaction, in the order of the log. So what
all streams hold together at one moment is the log up to some place, and one read of all of them, in one transaction
with the look whether a city has come, sees it so. Where that read was cut short in a stream, what other streams hold
beyond that place has to wait. https://redis.io/docs/latest/commands/xread/
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from redis.exceptions import ResponseError

from libs.streams.codec import content_of
from libs.streams.names import EPOCHS, STREAMS, StreamName
from services.gateway.live.position import Position

# One cannot wait for a stream that has no name yet.
_FIRST_STREAM_POLL_S = 0.2


class GapError(Exception):
    """Events between where the reader is and what the streams still have were trimmed away."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream; `content` is None where it has no event."""

    position: Position
    stream: str
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Round:
    """What one read gave: entries in the order of the log, and whether there may be more at once."""

    entries: list[Entry]
    has_more: bool = False


class StreamTail:
    """One reader's place in all the streams of an epoch. Use it from one task."""

    def __init__(self, client: redis.Redis, events_max: int) -> None:
        """About `events_max` of all streams are taken by one read. Begin with `start` or `start_near_end`."""
        self._client = client
        self._events_max = events_max
        self._events_of_each = events_max
        self._start = Position(0, 0, 0)
        self._newest_epoch = 0
        self._cursors: dict[str, Position] = {}
        self._known = (-1, -1)
        self._unsure = True

    @property
    def epoch(self) -> int:
        """The epoch whose streams are read; 0 while there are none."""
        return self._start.epoch

    def start(self, after: Position) -> None:
        """Read what comes after a position of the epoch."""
        self._start, self._cursors = after, {}
        self.distrust()

    def distrust(self) -> None:
        """Look again at everything that was known: the server may have died meanwhile, and lost its last second."""
        self._known, self._unsure = (-1, -1), True

    async def start_near_end(self, events: int) -> Position:
        """Begin about `events` before the end of what there is, and return where."""
        names = await self._look()
        epoch, begin = self._newest_epoch, Position(self._newest_epoch, 0, 0)
        each = max(1, events // max(1, len(names)))
        async with self._client.pipeline(transaction=True) as pipeline:
            for name in names:
                pipeline.xrevrange(name, count=each)
                pipeline.xinfo_stream(name)
            answers: list[Any] = await pipeline.execute(raise_on_error=False) if names else []
        for newest, info in zip(answers[::2], answers[1::2], strict=True):
            if isinstance(info, ResponseError):
                continue
            if len(newest) == each:
                begin = max(begin, Position.of_entry(epoch, newest[-1][0]))
            begin = max(begin, _trimmed_to(epoch, info) or begin)
        self.start(begin)
        return begin

    async def wait(self, block_ms: int) -> None:
        """Return when there may be something to read, or after `block_ms`."""
        if not self._cursors:
            await asyncio.sleep(min(block_ms / 1000, _FIRST_STREAM_POLL_S))
            return
        await self._client.xread(
            {name: cursor.entry_id for name, cursor in self._cursors.items()}, count=1, block=block_ms
        )

    async def read(self) -> Round:
        """Return what comes next, if there is anything; GapError where it was trimmed away."""
        while True:
            found, known = await self._read_all()
            if known == self._known:
                break
            # A city's first event, or an epoch's: what was read without it may come after it.
            self._adopt(await self._look())
            self._known = known
            self._share_out()
        before = dict(self._cursors)
        entries, cut = [], []
        for raw_name, rows in found:
            name = raw_name.decode()
            positions = [Position.of_entry(self.epoch, entry_id) for entry_id, _ in rows]
            entries += [
                Entry(position, name, content_of(fields)) for position, (_, fields) in zip(positions, rows, strict=True)
            ]
            if len(rows) >= self._events_of_each:
                cut.append(positions[-1])
        if not cut:
            self._share_out()
        elif len(entries) <= self._events_max // 2:
            # Few streams have more: they may have the others' share.
            self._events_of_each *= 2
        if cut or self._unsure:
            await self._refuse_gaps(before)
            self._unsure = bool(cut)
        if cut:
            entries = [entry for entry in entries if entry.position <= min(cut)]
        entries.sort(key=lambda entry: entry.position)
        for entry in entries:
            self._cursors[entry.stream] = entry.position
        if not entries and self._newest_epoch > self.epoch:
            self.start(Position(self._newest_epoch, 0, 0))
            return Round([], has_more=True)
        return Round(entries, has_more=bool(cut))

    async def _read_all(self) -> tuple[list[Any], tuple[int, int]]:
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.scard(STREAMS)
            pipeline.scard(EPOCHS)
            if self._cursors:
                pipeline.xread(
                    {name: cursor.entry_id for name, cursor in self._cursors.items()}, count=self._events_of_each
                )
            streams, epochs, *found = await pipeline.execute()
        return (found[0] or [] if found else []), (streams, epochs)

    async def _look(self) -> list[str]:
        """Return the streams of the newest epoch, or of the one that is being read."""
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.smembers(STREAMS)
            pipeline.smembers(EPOCHS)
            members, epochs = await pipeline.execute()
        names = [name for name in (StreamName.parse(member.decode()) for member in members) if name is not None]
        self._newest_epoch = max([self._newest_epoch, *(name.epoch for name in names), *map(int, epochs)])
        epoch = self.epoch or self._newest_epoch
        return [str(name) for name in names if name.epoch == epoch]

    def _adopt(self, names: list[str]) -> None:
        if not self.epoch:
            self._start = Position(self._newest_epoch, 0, 0)
        for name in names:
            self._cursors.setdefault(name, self._start)

    def _share_out(self) -> None:
        """Have all streams give as many: a read of all they have would take the process from everybody else."""
        self._events_of_each = max(1, self._events_max // max(1, len(self._cursors)))

    async def _refuse_gaps(self, cursors: Mapping[str, Position]) -> None:
        """Raise GapError where entries after a cursor were trimmed. After the read: what goes later was read."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for name in cursors:
                pipeline.xinfo_stream(name)
            found: list[Any] = await pipeline.execute(raise_on_error=False) if cursors else []
        for (name, cursor), info in zip(cursors.items(), found, strict=True):
            if isinstance(info, ResponseError):
                continue  # A server that died lost the whole of it: the relay fills it again.
            trimmed_to = _trimmed_to(cursor.epoch, info)
            if trimmed_to is not None and trimmed_to > cursor:
                raise GapError(f"{name} begins at {trimmed_to} and was read to {cursor}")


def _trimmed_to(epoch: int, info: Mapping[str, Any]) -> Position | None:
    """Return the oldest position of which all is there; None for a stream from which nothing was trimmed."""
    if info["entries-added"] <= info["length"]:
        return None
    first = info["first-entry"]
    return Position.of_entry(epoch, first[0] if first else info["last-generated-id"])
