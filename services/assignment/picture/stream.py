"""A city's event stream as a picture follows it: without a consumer group, from a position on, and never past a hole.

A picture needs no acknowledgements and no claims, because it can be made anew from the database at any time. What it
must know is whether an entry was missed: Redis counts the entries that a stream was ever given, and so does the reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from redis.exceptions import ResponseError

from libs.streams.codec import content_of
from libs.streams.groups import entry_order
from libs.streams.names import EPOCHS, StreamName

Entries = Sequence[tuple[str, bytes | None]]
_NOTHING = b"0-0"


class NoStreamError(Exception):
    """Nobody has begun to write streams, or Redis has lost them."""


class StreamLostError(Exception):
    """Entries are missing that were not read: the stream was trimmed, emptied, or goes on in a new epoch."""


@dataclass(slots=True)
class _Position:
    entry_id: bytes
    # How many entries the stream was given up to this one; None where Redis does not count them.
    ordinal: int | None


class CityStream:
    """One reader of one city's stream; `NO_CITY` is a city here."""

    def __init__(self, client: redis.Redis, city_code: str) -> None:
        self._client = client
        self._city_code = city_code
        self._name: StreamName | None = None
        self._at = _Position(_NOTHING, 0)

    @property
    def position(self) -> tuple[int, int]:
        """The position of the newest entry that was read."""
        return entry_order(self._at.entry_id)

    async def begin(self, overlap: int) -> Entries:
        """Stand at the end of the newest epoch's stream; return the last `overlap` entries before it, oldest first."""
        epoch = await self._epoch()
        if epoch is None:
            raise NoStreamError("no epoch of streams has begun")
        self._name = StreamName(self._city_code, epoch)
        info = await self._info()
        if info is None:
            self._at = _Position(_NOTHING, 0)
            return []
        self._at = _Position(info["last-generated-id"], info.get("entries-added"))
        found: Any = await self._client.xrevrange(str(self._name), max=self._at.entry_id, count=overlap)
        return _plain(reversed(found))

    async def read(self, wait_ms: int, most: int) -> Entries:
        """Return what comes next, after waiting for it for up to `wait_ms`."""
        found: Any = await self._client.xread({str(self._name): self._at.entry_id}, count=most, block=wait_ms)
        entries = found[0][1] if found else []
        if entries:
            ordinal = self._at.ordinal
            self._at = _Position(entries[-1][0], None if ordinal is None else ordinal + len(entries))
        return _plain(entries)

    async def newest(self) -> tuple[int, int]:
        """Return the position of the newest entry there is."""
        info = await self._info()
        return (0, 0) if info is None else entry_order(info["last-generated-id"])

    async def check(self) -> None:
        """Raise StreamLostError when entries are missing. For the one who reads, between two reads."""
        if await self._epoch() != (self._name.epoch if self._name is not None else None):
            raise StreamLostError("another epoch has begun, or Redis has lost the streams")
        info = await self._info()
        at = self._at
        if info is None:
            if at.entry_id != _NOTHING:
                raise StreamLostError("the stream is gone")
            return
        if entry_order(info["last-generated-id"]) < entry_order(at.entry_id):
            raise StreamLostError("Redis has lost the newest entries")
        added, last = info.get("entries-added"), info["last-entry"]
        if at.ordinal is None or added is None:
            return
        trimmed = added - info["length"]
        if trimmed > at.ordinal:
            raise StreamLostError(f"{trimmed - at.ordinal} entries were trimmed before they were read")
        all_read = last is None or entry_order(last[0]) <= entry_order(at.entry_id)
        if all_read and added != at.ordinal:
            raise StreamLostError(f"the stream was given {added} entries, and {at.ordinal} of them were read")

    async def _epoch(self) -> int | None:
        members: Any = await self._client.smembers(EPOCHS)
        return max(map(int, members), default=None)

    async def _info(self) -> dict[str, Any] | None:
        try:
            return dict(await self._client.xinfo_stream(str(self._name)))
        except ResponseError as error:
            if "no such key" in str(error):
                return None
            raise


def _plain(entries: Any) -> Entries:
    return [(entry_id.decode(), content_of(fields)) for entry_id, fields in entries]
