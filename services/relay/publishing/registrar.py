"""Makes known the streams that something else than the relay fills: consumers and trimming go by their names."""

import redis.asyncio as redis

from libs.streams.names import EPOCHS, PREFIX, STREAMS, StreamName

_SCAN_KEYS = 1_000


async def register_streams(client: redis.Redis) -> int:
    """Write down every event stream there is; return how many were not known."""
    found = set()
    async for key in client.scan_iter(match=f"{PREFIX}:{{*}}:*", count=_SCAN_KEYS, _type="stream"):
        name = StreamName.parse(key.decode())
        if name is not None:
            found.add(name)
    if not found:
        return 0
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.sadd(STREAMS, *map(str, found))
        pipeline.sadd(EPOCHS, *{name.epoch for name in found})
        added, _ = await pipeline.execute()
    return int(added)
