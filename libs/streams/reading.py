"""Reads what is new of the cities that a process leases. One that has lost a lease, and does not know it, gets nothing.

What is delivered to one process is not delivered to another. A process that stalls, wakes, and reads on before it looks
at its leases would hold events that its successor never sees, and work on them beside later ones of the same aggregate.
So whether the lease is held is asked by the server, in the same moment in which it delivers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio as redis

from libs.streams import groups
from libs.streams.groups import Entry
from libs.streams.limits import ConsumerLimits
from libs.streams.names import lease_key

# It may run when Redis is full: it is the consumers that make room. 0 is a lease that is not held.
_READ = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[1], 'COUNT', ARGV[3], 'STREAMS', KEYS[2], KEYS[3], '>', '>')
"""
_NOT_HELD = 0


class NewEntries:
    """What nobody of a group was given yet."""

    def __init__(self, client: redis.Redis, group: str, consumer: str, limits: ConsumerLimits) -> None:
        """`consumer` is the process, and holds the leases by the same name."""
        self._client = client
        self._group = group
        self._consumer = consumer
        self._limits = limits
        # What was delivered last of each stream.
        self._after: dict[str, bytes] = {}

    def forget(self) -> None:
        """Trust nothing of what was delivered: the server may have lost it."""
        self._after.clear()

    async def read(
        self, reading: Mapping[str, Sequence[str]], wait_ms: int
    ) -> tuple[list[tuple[str, list[Entry]]], set[str]]:
        """Wait up to `wait_ms` for what is new in the cities' streams, a city's events and its replays.

        Returns entries by stream, and the cities whose leases are not held.
        """
        for stream in [stream for streams in reading.values() for stream in streams if stream not in self._after]:
            self._after[stream] = await self._delivered_last(stream)
        after: dict[Any, Any] = {stream: self._after[stream] for streams in reading.values() for stream in streams}
        arrived: Any = await self._client.xread(after, count=1, block=wait_ms)
        names = {name.decode() for name, _ in arrived}
        cities = {city: streams for city, streams in reading.items() if not names.isdisjoint(streams)}
        if not cities:
            return [], set()
        async with self._client.pipeline(transaction=False) as pipeline:
            for city, streams in cities.items():
                keys = (lease_key(city, self._group), *streams)
                pipeline.eval(_READ, len(keys), *keys, self._consumer, self._group, self._limits.read_events_max)
            answers = await pipeline.execute()
        found: list[tuple[str, list[Entry]]] = []
        for streams, answer in zip(cities.values(), answers, strict=True):
            given = {} if answer == _NOT_HELD else {name.decode(): rows for name, rows in answer or ()}
            for stream in streams:
                if rows := given.get(stream):
                    self._after[stream] = rows[-1][0]
                    found.append((stream, [_entry(row) for row in rows]))
                elif stream in names:
                    # Given to somebody else meanwhile: what was delivered last has to be asked.
                    self._after.pop(stream, None)
        return found, {city for city, answer in zip(cities, answers, strict=True) if answer == _NOT_HELD}

    async def _delivered_last(self, stream: str) -> bytes:
        state = (await groups.progress(self._client, stream)).get(self._group)
        return b"0-0" if state is None else bytes(state["last-delivered-id"])


def _entry(row: Any) -> Entry:
    """Return a script's row, (id, [name, value, ...]), as the client's calls do; a deleted one has no fields."""
    entry_id, flat = row
    return entry_id, dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}
