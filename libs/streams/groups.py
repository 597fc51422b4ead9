"""A group's state in its streams: made, claimed, drained, rid of the dead."""

from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as redis

from libs.streams.names import GROUPS, STREAMS, StreamName, alive_key

Entry = tuple[bytes, dict[bytes, bytes]]
CLAIM_PAGE = 1_000
# How Redis says that a group, or its stream, is not there.
GONE = ("NOGROUP", "no such key")
# They may run when Redis is full: it is the consumers that make room.
_REGISTER = "#!lua flags=allow-oom\nreturn redis.call('SADD', KEYS[1], ARGV[1])"
_CREATE = """#!lua flags=allow-oom
local answer = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if answer.err and not string.find(answer.err, 'BUSYGROUP') then return answer end
return 1
"""


async def streams_by_city(client: redis.Redis) -> dict[str, list[StreamName]]:
    """Return every event stream by its city, each city's oldest epoch first."""
    found: dict[str, list[StreamName]] = {}
    members: Any = await client.smembers(STREAMS)
    for name in sorted(filter(None, (StreamName.parse(member.decode()) for member in members))):
        found.setdefault(name.city_code, []).append(name)
    return found


async def server_time_ms(client: redis.Redis) -> int:
    """Return the server's clock: those of the processes' hosts may differ."""
    seconds, microseconds = await client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def processes_alive(client: redis.Redis, group: str) -> int:
    """Return how many processes of the group live."""
    return int(await client.zcount(alive_key(group), await server_time_ms(client), "+inf"))


async def register(client: redis.Redis, group: str) -> None:
    """Make the group one whose unread events are not trimmed."""
    await client.eval(_REGISTER, 1, GROUPS, group)


async def ensure_group(client: redis.Redis, stream: str, group: str) -> None:
    """Make the group, if it is not there, from the start of the stream; and the stream."""
    await client.eval(_CREATE, 1, stream, group)


async def claimed(
    client: redis.Redis, stream: str, group: str, consumer: str, idle_ms_min: int
) -> AsyncIterator[tuple[list[Entry], int]]:
    """Take over what was delivered and never acknowledged; yield entries, oldest first, and how many are trimmed."""
    cursor = b"0-0"
    while True:
        cursor, entries, gone = await client.xautoclaim(stream, group, consumer, idle_ms_min, cursor, count=CLAIM_PAGE)
        yield entries, len(gone)
        if cursor == b"0-0":
            return


async def delete_idle_consumers(client: redis.Redis, stream: str, group: str, kept: str | None) -> None:
    """Delete the group's consumers that hold nothing, but for `kept`: whoever reads a stream is its only reader."""
    for consumer in await client.xinfo_consumers(stream, group):
        name = consumer["name"].decode()
        if name != kept and not consumer["pending"]:
            await client.xgroup_delconsumer(stream, group, name)


async def progress(client: redis.Redis, stream: str) -> dict[str, dict[str, Any]]:
    """Return each group's state in the stream: `pending`, `last-delivered-id`, and `unread` events, None if unknown."""
    found = {}
    for info in await client.xinfo_groups(stream):
        info["unread"] = info.pop("lag")
        found[info["name"].decode()] = info
    return found


async def is_drained(client: redis.Redis, stream: str, group: str) -> bool:
    """Whether the group is done with everything that is in the stream."""
    state = (await progress(client, stream)).get(group)
    if state is None or state["pending"]:
        return False
    last = (await client.xinfo_stream(stream))["last-generated-id"]
    return entry_order(state["last-delivered-id"]) >= entry_order(last)


def entry_order(entry_id: bytes) -> tuple[int, int]:
    """Return an entry's id as what ids are compared by."""
    first, _, second = entry_id.partition(b"-")
    return int(first), int(second or 0)
