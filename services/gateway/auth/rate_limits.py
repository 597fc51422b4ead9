"""Requests a second by caller: counted in Redis for all gateways, or in this process while Redis is away."""

import asyncio
import logging
import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError

from services.gateway.rest.problems import Problem, ProblemError

log = logging.getLogger("gateway")


class RateLimits(BaseModel):
    """The limits of callers."""

    model_config = ConfigDict(frozen=True)

    requests_max: int = Field(2_000, gt=0, description="Requests of one caller in a span")
    span_s: int = Field(1, gt=0, description="Length of the span")
    redis_timeout_s: float = Field(0.25, gt=0, description="Redis must answer within this; else this process counts")
    redis_pause_s: float = Field(5.0, gt=0, description="Redis is left alone this long after it did not answer")


class RateLimiter:
    """Admits requests, or raises the 429."""

    def __init__(self, redis_url: str, limits: RateLimits) -> None:
        self._limits = limits
        self._item = RateLimitItemPerSecond(limits.requests_max, limits.span_s)
        self._shared = SlidingWindowCounterRateLimiter(RedisStorage(f"async+{redis_url}", implementation="redispy"))
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._paused_until_s = 0.0
        self.fallbacks = 0

    async def admit(self, caller: str) -> dict[str, str]:
        """Count a request of `caller`; return headers that tell the limit, or raise the ProblemError of 429."""
        if not await self._hit(caller):
            said = f"more than {self._limits.requests_max} requests in {self._limits.span_s} s; slow down"
            raise ProblemError(Problem(429, "RATE_LIMITED", said, retry_after_s=self._limits.span_s))
        return {"RateLimit-Policy": f'"caller";q={self._limits.requests_max};w={self._limits.span_s}'}

    async def _hit(self, caller: str) -> bool:
        if time.monotonic() >= self._paused_until_s:
            try:
                async with asyncio.timeout(self._limits.redis_timeout_s):
                    return await self._shared.hit(self._item, caller)
            except (RedisError, OSError, TimeoutError) as error:
                self.fallbacks += 1
                self._paused_until_s = time.monotonic() + self._limits.redis_pause_s
                log.warning("rate limits counted here alone", extra={"error": repr(error), "times": self.fallbacks})
        return await self._own.hit(self._item, caller)
