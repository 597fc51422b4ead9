"""Requests a second by caller: counted in Redis for all gateways, or in this process while Redis is away."""

import asyncio
import logging
import time
from collections import OrderedDict

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
    share_max: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Part of a caller's limit that a gateway lets pass in a span before it counts in Redis, and then "
        "counts there at once",
    )
    callers_max: int = Field(50_000, gt=0, description="Callers whose shares are remembered")
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
        # Asking Redis for each request costs as much as the rest of a cached answer, and most callers ask for little:
        # the first share of a span is not counted there. (requests left, until when)
        self._share = max(1, int(limits.requests_max * limits.share_max))
        self._shares: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self.fallbacks = 0

    async def admit(self, caller: str) -> dict[str, str]:
        """Count a request of `caller`; return headers that tell the limit, or raise the ProblemError of 429."""
        if not await self._hit(caller):
            said = f"more than {self._limits.requests_max} requests in {self._limits.span_s} s; slow down"
            raise ProblemError(Problem(429, "RATE_LIMITED", said, retry_after_s=self._limits.span_s))
        return {"RateLimit-Policy": f'"caller";q={self._limits.requests_max};w={self._limits.span_s}'}

    async def _hit(self, caller: str) -> bool:
        now_s = time.monotonic()
        left, until_s = self._shares.get(caller, (0, 0.0))
        if left > 0 and now_s < until_s:
            self._shares[caller] = (left - 1, until_s)
            return True
        if self._share > 1 and now_s >= until_s:
            self._keep_share(caller, now_s)
            return True
        if now_s >= self._paused_until_s:
            try:
                async with asyncio.timeout(self._limits.redis_timeout_s):
                    return await self._take_share(caller, now_s)
            except (RedisError, OSError, TimeoutError) as error:
                self.fallbacks += 1
                self._paused_until_s = time.monotonic() + self._limits.redis_pause_s
                log.warning("rate limits counted here alone", extra={"error": repr(error), "times": self.fallbacks})
        return await self._own.hit(self._item, caller)

    async def _take_share(self, caller: str, now_s: float) -> bool:
        """Count a share of the limit in Redis, or one request where so much is not left; keep what is not used yet."""
        if self._share > 1 and await self._shared.hit(self._item, caller, cost=self._share):
            self._keep_share(caller, now_s)
            return True
        return await self._shared.hit(self._item, caller)

    def _keep_share(self, caller: str, now_s: float) -> None:
        self._shares[caller] = (self._share - 1, now_s + self._limits.span_s)
        self._shares.move_to_end(caller)
        if len(self._shares) > self._limits.callers_max:
            self._shares.popitem(last=False)
