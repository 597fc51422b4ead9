"""Live positions: the latest of each partner, in Redis and never in PostgreSQL.

Reports are conflated in memory (the latest of a partner wins) and written by one writer: at once when it is idle, and
together while it is busy. A script in Redis keeps the later position when two processes report the same partner.
"""

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import redis.asyncio as redis
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError

from services.assignment.errors import PositionsUnavailableError

_PACKED = struct.Struct(">qdd")
# KEYS[1]: a city's positions. ARGV: partner, packed position, partner, packed position, ... A packed position starts
# with its big-endian milliseconds, so positions of one partner compare as strings.
_STORE_LATER = """
local stored = 0
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or known < ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    stored = stored + 1
  end
end
return stored
"""


class PositionLimits(BaseModel):
    """The limits of the position book."""

    model_config = ConfigDict(frozen=True)

    waiting_max: int = Field(100_000, gt=0, description="Partners whose position waits to be written")
    script_positions_max: int = Field(500, gt=0, description="Positions written by one script call")
    age_s_max: float = Field(120.0, gt=0, description="An older position is not used for matching")
    ahead_s_max: float = Field(60.0, gt=0, description="A position may be this far ahead of our clock")
    cities_known_max: int = Field(100_000, gt=0, description="Partners whose city is kept in memory")
    city_known_s: float = Field(60.0, gt=0, description="A partner's city is read again after this")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partner was, and when, in milliseconds since 1970."""

    recorded_at_ms: int
    lat: float
    lng: float


class PositionBook:
    """Takes reports in and answers with the latest. Run `run()` in the process's task group."""

    def __init__(self, store: redis.Redis, limits: PositionLimits) -> None:
        self.limits = limits
        self._store = store
        self._script = store.register_script(_STORE_LATER)
        self._waiting: dict[tuple[str, UUID], Position] = {}
        self._wake = asyncio.Event()
        self._flushed: asyncio.Future[None] | None = None
        self._closing = False
        self.counts: Counter[str] = Counter()

    async def report(self, city_code: str, positions: Iterable[tuple[UUID, Position]]) -> None:
        """Take positions of one city in, and return when they are stored.

        Raises PositionsUnavailableError when Redis does not answer, or too many wait.
        """
        if len(self._waiting) >= self.limits.waiting_max:
            raise PositionsUnavailableError("too many positions wait to be stored; try again")
        for partner_id, position in positions:
            known = self._waiting.get((city_code, partner_id))
            if known is None or known.recorded_at_ms < position.recorded_at_ms:
                self._waiting[city_code, partner_id] = position
        if self._flushed is None:
            self._flushed = asyncio.get_running_loop().create_future()
        self._wake.set()
        await asyncio.shield(self._flushed)

    async def run(self) -> None:
        """Write what was reported until close() was called."""
        while not self._closing or self._waiting:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, {}
            flushed, self._flushed = self._flushed, None
            error: PositionsUnavailableError | None = None
            try:
                await self._write(batch)
            except (RedisError, OSError):
                error = PositionsUnavailableError("positions cannot be stored now; try again")
            if flushed is not None and not flushed.done():
                if error is None:
                    flushed.set_result(None)
                else:
                    flushed.set_exception(error)
                    flushed.exception()  # every reporter may have gone away; that is no error of ours

    async def close(self) -> None:
        """Take no more reports."""
        self._closing = True
        self._wake.set()

    async def read_city(self, city_code: str) -> dict[UUID, Position]:
        """Return the fresh positions of a city's partners."""
        oldest_ms = int((time.time() - self.limits.age_s_max) * 1000)
        raw: dict[bytes, bytes] = await self._store.hgetall(_key(city_code))  # type: ignore[assignment]  # not decoded
        found = {UUID(bytes=field): Position(*_PACKED.unpack(value)) for field, value in raw.items()}
        return {partner_id: position for partner_id, position in found.items() if position.recorded_at_ms >= oldest_ms}

    async def _write(self, batch: dict[tuple[str, UUID], Position]) -> None:
        by_city: dict[str, list[bytes]] = {}
        for (city_code, partner_id), position in batch.items():
            packed = _PACKED.pack(position.recorded_at_ms, position.lat, position.lng)
            by_city.setdefault(city_code, []).extend((partner_id.bytes, packed))
        step = self.limits.script_positions_max * 2
        async with self._store.pipeline(transaction=False) as pipeline:
            for city_code, arguments in by_city.items():
                for start in range(0, len(arguments), step):
                    await self._script(keys=[_key(city_code)], args=arguments[start : start + step], client=pipeline)
            await pipeline.execute()


def _key(city_code: str) -> str:
    # The braces put a city's keys on one node of a Redis Cluster.
    return f"lastmile:positions:{{{city_code}}}"
