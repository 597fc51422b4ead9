"""Bounds the streams: what every registered consumer has read may go, but for the newest events."""

from typing import Any

import redis.asyncio as redis

from libs.streams import groups
from libs.streams.names import GROUPS, replay_key


async def trim(client: redis.Redis, events_kept: int) -> int:
    """Trim every stream; return how many events went.

    A group that is registered and has not begun a stream has read nothing of it. Where nobody is registered, the
    newest events are kept. Of earlier epochs, and of what was replayed, nothing is kept that was read.
    """
    members: Any = await client.smembers(GROUPS)
    registered = {member.decode() for member in members}
    trimmed = 0
    for city_code, names in (await groups.streams_by_city(client)).items():
        for name in names:
            kept = events_kept if name == names[-1] else 0
            trimmed += await _trim_stream(client, str(name), registered, kept)
        for group in registered:
            trimmed += await _trim_stream(client, replay_key(city_code, group), {group}, 0)
    return trimmed


async def _trim_stream(client: redis.Redis, stream: str, registered: set[str], events_kept: int) -> int:
    surplus = await client.xlen(stream) - events_kept
    if surplus <= 0:
        return 0
    progress = await groups.progress(client, stream)
    if registered - progress.keys():
        return 0
    if not progress:
        return int(await client.xtrim(stream, maxlen=events_kept, approximate=True))
    unread_from = [await _oldest_needed(client, stream, group, state) for group, state in progress.items()]
    # LIMIT also keeps the newest events of a stream that everybody has read to its end.
    oldest = min(unread_from, key=groups.entry_order)
    return int(await client.xtrim(stream, minid=oldest, approximate=True, limit=surplus))


async def _oldest_needed(client: redis.Redis, stream: str, group: str, state: dict[str, bytes]) -> bytes:
    if state["pending"]:
        pending = await client.xpending(stream, group)
        if pending["pending"]:
            return bytes(pending["min"])
    return state["last-delivered-id"]
