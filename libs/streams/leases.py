"""Which process of a group reads which city: one at a time, so that the order of a city's events is in one hand.

A process that stalls and wakes after its lease has ended may still work beside its successor on what it was given.
Each of them goes through the same events in order and every effect checks its event's id, so neither order nor effects
suffer.
What is new it is not given (`libs/streams/reading.py`).
"""

import math
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import redis.asyncio as redis

from libs.streams.limits import ConsumerLimits
from libs.streams.names import alive_key, lease_key

# The scripts may run when Redis is full: it is the consumers that make room.
# Renewed is 1, taken is 2, somebody else's is 0.
_HOLD = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 2 end
return 0
"""
_RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
# By the server's clock: those of the processes' hosts may differ.
_LIVE = """#!lua flags=allow-oom
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[1], now_ms + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
return redis.call('ZCARD', KEYS[1])
"""
_TAKEN = 2


@dataclass
class CityLeases:
    """The leases of one process of a group."""

    client: redis.Redis
    group: str
    holder: str
    limits: ConsumerLimits
    owned: set[str] = field(default_factory=set)
    # Held, but more than a fair share: no longer read, and given up once nothing of them is worked on.
    leaving: set[str] = field(default_factory=set)
    # Spreads who tries what first; nothing about it has to be repeatable or secret.
    _random: random.Random = field(default_factory=random.Random)

    async def renew(self, cities: Collection[str], is_idle: Callable[[str], bool]) -> set[str]:
        """Renew what is held, take what is free and give up what is more than a fair share.

        Returns the cities that were taken now. Those no longer held are gone from `owned`. A city is given up only
        when `is_idle` says that nothing of it is being worked on.
        """
        share = math.ceil(len(cities) / max(1, await self._processes_alive()))
        self.leaving = set(sorted(self.owned)[: max(0, len(self.owned) - share)])
        released = {city for city in self.leaving if is_idle(city)}
        await self.release(released)
        self.leaving -= released
        others = [city for city in cities if city not in self.owned and city not in released]
        wanted = self._random.sample(others, len(others))[: max(0, share - len(self.owned))]
        asked = [*self.owned, *wanted]
        held = await self._evaluate(_HOLD, asked, int(self.limits.lease_ttl_s * 1000))
        self.owned = {city for city, answer in zip(asked, held, strict=True) if answer}
        return {city for city, answer in zip(asked, held, strict=True) if answer == _TAKEN}

    async def release(self, cities: Collection[str]) -> None:
        """Give cities up, so that another process can take them at once."""
        await self._evaluate(_RELEASE, list(cities))
        self.owned -= set(cities)

    async def leave(self) -> None:
        """Give everything up, and be counted no longer."""
        await self.release(list(self.owned))
        await self.client.zrem(alive_key(self.group), self.holder)

    async def _processes_alive(self) -> int:
        lifetime_ms = int(self.limits.lease_ttl_s * 1000)
        return int(await self.client.eval(_LIVE, 1, alive_key(self.group), self.holder, lifetime_ms))

    async def _evaluate(self, script: str, cities: list[str], *arguments: int) -> list[int]:
        if not cities:
            return []
        async with self.client.pipeline(transaction=False) as pipeline:
            for city in cities:
                pipeline.eval(script, 1, lease_key(city, self.group), self.holder, *arguments)
            return list(await pipeline.execute())
