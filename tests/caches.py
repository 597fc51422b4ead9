"""The cache of queries for tests: processes that share a real Redis, and a standby that counts what it is asked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lastmile.assignment.v1 import partner_pb2

from libs.cache.entries import checked, outdate_command
from libs.cache.limits import CacheLimits
from libs.cache.link import CacheLink
from libs.cache.query_cache import CachedQuery, QueryCache
from libs.grpc_server.call import Call, Origin, current_call
from libs.grpc_server.identity import Principal, Role
from libs.postgres.log_clock import ClockLimits, LogClock
from libs.postgres.log_position import text_of

OPS = Principal("ops", Role.OPS)
METHOD = "/test/List"
LIMITS = CacheLimits(
    stale_ms=400, negative_ms=60_000, refresh_ms_max=2_000, uncached_per_s_max=5, redis_timeout_ms=2_000
)
WINDOW_MS = 60_000


@dataclass
class Standby:
    """What queries ask: stands at a position, takes its time or waits to be let go, and counts."""

    position: int = 100
    takes_s: float = 0.0
    let_go: asyncio.Event | None = None
    asked: int = 0
    error: Exception | None = None
    seen: list[str] = field(default_factory=list)

    async def answer(self) -> partner_pb2.GetPartnerResponse:
        self.asked += 1
        call, at = current_call(), self.position
        self.seen.append(call.principal.scope)
        await asyncio.sleep(self.takes_s)
        if self.let_go is not None:
            await self.let_go.wait()
        call.origin = Origin("standby", at, 0)
        if self.error is not None:
            raise self.error
        return partner_pb2.GetPartnerResponse(partner=partner_pb2.Partner(id=call.principal.scope, version=at))


@dataclass
class Caching:
    """A process with its cache, and the clock that a test moves."""

    cache: QueryCache
    link: CacheLink
    clock: LogClock
    is_up: list[bool]

    async def ask(self, standby: Standby, request_id: str, principal: Principal = OPS, token: int = 0) -> Call:
        """Ask; the call has the answer's origin, and its answer as metadata."""
        call = Call(METHOD, "test", principal, consistency_token=text_of(token) if token else None)
        request = partner_pb2.GetPartnerRequest(partner_id=request_id)
        raw = await self.cache.answer(call, request, standby.answer)
        call.response_metadata["version"] = str(partner_pb2.GetPartnerResponse.FromString(raw).partner.version)
        call.response_metadata["for"] = partner_pb2.GetPartnerResponse.FromString(raw).partner.id
        return call

    async def outdate(self, tag: str, position: int) -> None:
        checked(await self.link.ask(outdate_command(tag, position, 600)))


@asynccontextmanager
async def process(url: str, limits: CacheLimits = LIMITS) -> AsyncIterator[Caching]:
    clock, link, is_up = LogClock(ClockLimits()), CacheLink(url, limits), [True]
    clock.history = "test"
    clock.note(time.monotonic() - 1, 0)
    clock.note(time.monotonic(), 1_000)
    table = {METHOD: CachedQuery(lambda _, request: f"test/{request.partner_id}", WINDOW_MS)}
    cache = QueryCache(link, clock, table, limits, lambda: is_up[0])
    running = asyncio.create_task(link.run())
    while not link.run_id:
        await asyncio.sleep(0.01)
    yield Caching(cache, link, clock, is_up)
    await cache.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
