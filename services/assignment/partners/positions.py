"""Where partners are: the latest position of each, in Redis only.

Positions that arrive while a batch is being written make up the next one, the latest of each partner. No timer: an
idle book writes at once. A script in Redis keeps the later of two positions, whichever process wrote which.
"""

import asyncio
import logging
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.assignment.errors import PositionsUnavailableError
from services.assignment.partners.sightings import Sighting

log = logging.getLogger("positions")

_POSITION = struct.Struct("<ddq")  # latitude, longitude, milliseconds since 1970
# KEYS: the city's hash. ARGV: its lifetime in seconds, then field, value for each partner.
_STORE_LATER = """
local fields, changes = {}, {}
for i = 2, #ARGV, 2 do fields[#fields + 1] = ARGV[i] end
local known = redis.call('HMGET', KEYS[1], unpack(fields))
for n = 1, #fields do
  local value = ARGV[2 * n + 1]
  if not known[n] or struct.unpack('<i8', known[n], 17) <= struct.unpack('<i8', value, 17) then
    changes[#changes + 1] = fields[n]
    changes[#changes + 1] = value
  end
end
if #changes > 0 then redis.call('HSET', KEYS[1], unpack(changes)) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return #changes / 2
"""


class PositionLimits(BaseModel):
    """The limits of the position book."""

    model_config = ConfigDict(frozen=True)

    age_s_max: int = Field(120, gt=0, description="Older positions are neither taken nor used")
    ahead_s_max: int = Field(60, gt=0, description="How far ahead of ours a handset's clock may be")
    waiting_max: int = Field(50_000, gt=0, description="Positions waiting to be written; more are refused")
    # The script's fields and values must fit Lua's stack.
    script_positions_max: int = Field(1_000, gt=0, le=3_000, description="Positions of one city written by one script")
    store_timeout_s: float = Field(2.0, gt=0, description="Longest wait for Redis")
    city_lifetime_s: int = Field(
        86_400, gt=0, description="A city's positions go when nothing is reported for this long"
    )
    cities_known_max: int = Field(100_000, gt=0, description="Partners whose city a process remembers")
    city_known_s: float = Field(60.0, gt=0, description="A partner's city is looked up again after this")
    partner_unknown_s: float = Field(5.0, gt=0, description="An unknown partner is looked up again after this")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partner was: WGS 84 degrees, milliseconds since 1970."""

    lat: float
    lng: float
    recorded_at_ms: int


class Flush:
    """One batch of positions on its way to Redis: the latest of each partner."""

    def __init__(self) -> None:
        self.cities: dict[str, dict[str, Sighting]] = {}
        self.count = 0
        self._error: PositionsUnavailableError | None = None
        self._ended = asyncio.Event()

    def add(self, city_code: str, sightings: Sequence[Sighting]) -> None:
        """Take in positions; of one partner's, the latest."""
        partners = self.cities.setdefault(city_code, {})
        before = len(partners)
        for sighting in sightings:
            known = partners.get(sighting[0])
            if known is None or known[3] <= sighting[3]:
                partners[sighting[0]] = sighting
        self.count += len(partners) - before

    async def ended(self) -> None:
        """Return once the batch is written; PositionsUnavailableError when it could not be."""
        await self._ended.wait()
        if self._error is not None:
            raise PositionsUnavailableError(self._error.message)

    def end(self, error: PositionsUnavailableError | None) -> None:
        """Wake everyone who waits for the batch."""
        self._error = error
        self._ended.set()


class PositionBook:
    """The latest position of every partner. Run `run()` in the process's task group where positions are reported."""

    def __init__(self, redis: Redis, limits: PositionLimits) -> None:
        """`redis` must answer in bytes, as it does by default."""
        self.limits = limits
        self._redis = redis
        self._forming = Flush()
        self._wake = asyncio.Event()
        self._closing = False

    def report(self, taken: Mapping[str, Sequence[Sighting]]) -> Flush:
        """Queue positions by city and return the batch that they are part of; never waits.

        Raises PositionsUnavailableError when too many wait.
        """
        flush = self._forming
        if self._closing or flush.count >= self.limits.waiting_max:
            raise PositionsUnavailableError("too many positions are waiting; try again")
        for city_code, sightings in taken.items():
            flush.add(city_code, sightings)
        self._wake.set()
        return flush

    async def run(self) -> None:
        """Write batches until close() was called and nothing waits any more."""
        while not (self._closing and not self._forming.cities):
            await self._wake.wait()
            self._wake.clear()
            flush, self._forming = self._forming, Flush()
            if flush.cities:
                await self._write(flush)

    async def close(self) -> None:
        """Take no more positions; run() returns when the waiting ones are written."""
        self._closing = True
        self._wake.set()

    async def read_city(self, city_code: str) -> dict[UUID, Position]:
        """Return the fresh positions of a city's partners; PositionsUnavailableError when Redis does not answer."""
        try:
            async with asyncio.timeout(self.limits.store_timeout_s):
                packed: Any = await self._redis.hgetall(_key(city_code))
        except (RedisError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error
        earliest_ms = int((time.time() - self.limits.age_s_max) * 1000)
        positions = {}
        for partner_id, value in packed.items():
            lat, lng, recorded_at_ms = _POSITION.unpack(value)
            if recorded_at_ms >= earliest_ms:
                positions[UUID(bytes=partner_id)] = Position(lat, lng, recorded_at_ms)
        return positions

    async def _write(self, flush: Flush) -> None:
        error: PositionsUnavailableError | None = PositionsUnavailableError("positions are not written any more")
        try:
            async with asyncio.timeout(self.limits.store_timeout_s):
                await self._store(flush)
            error = None
        except (RedisError, OSError, TimeoutError) as failure:
            error = _unavailable(failure)
            log.warning("positions not written", extra={"positions": flush.count, "error": repr(failure)})
        finally:
            flush.end(error)

    async def _store(self, flush: Flush) -> None:
        """Write the batch in one round trip."""
        # Without a transaction: each script is atomic by itself, and others may run between them.
        async with self._redis.pipeline(transaction=False) as pipeline:
            for city_code, partners in flush.cities.items():
                for part in _parts(partners, self.limits.script_positions_max):
                    arguments: list[Any] = [self.limits.city_lifetime_s]
                    for partner_id, lat, lng, recorded_at_ms in part:
                        field = bytes.fromhex(partner_id.replace("-", ""))
                        arguments += (field, _POSITION.pack(lat, lng, recorded_at_ms))
                    pipeline.eval(_STORE_LATER, 1, _key(city_code), *arguments)
            await pipeline.execute()


def _key(city_code: str) -> str:
    return f"lastmile:positions:{{{city_code}}}"


def _parts(partners: Mapping[str, Sighting], size: int) -> Iterator[list[Sighting]]:
    rest = iter(partners.values())
    while part := list(islice(rest, size)):
        yield part


def _unavailable(error: Exception) -> PositionsUnavailableError:
    return PositionsUnavailableError(f"the store of positions did not answer ({type(error).__name__}); try again")
