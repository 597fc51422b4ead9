"""The matcher's process: leases cities, closes their windows by time or size, expires offers, keeps house."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import redis.asyncio as redis
from redis.exceptions import RedisError

from libs.grpc_server.server import GrpcServer
from libs.ids import new_id
from libs.postgres.errors import UNREACHABLE
from libs.postgres.pool import create_pool
from services.assignment.cities import store as cities_store
from services.assignment.cities.city import City
from services.assignment.deliveries.lifecycle import Actor, DeliveryState, OfferState
from services.assignment.errors import LeaseLostError
from services.assignment.matching.rules.registry import discovered
from services.assignment.matching.warm import warm
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move
from services.assignment.offers.store import transition
from services.assignment.partners.positions import PositionBook
from services.assignment.retention.keeper import keep_house
from services.assignment.windows import store
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.window import Lease, WindowRunner

log = logging.getLogger("matcher")

# What a server's failure looks like; anything else is a bug, ends the process, and the supervisor starts it again.
OUTAGES = (*UNREACHABLE, asyncpg.PostgresError, RedisError)


class Matcher:
    """One matcher among any number."""

    def __init__(
        self, primary: asyncpg.Pool, runner: WindowRunner, settings: MatcherSettings, server: GrpcServer
    ) -> None:
        self.id: UUID = new_id()
        self._primary = primary
        self._runner = runner
        self._settings = settings
        self._server = server
        self._fences: dict[str, int] = {}
        self._cities: dict[str, City] = {}
        self._running: set[str] = set()
        self._slots = asyncio.Semaphore(settings.matcher_windows_at_once_max)

    async def run(self, stop: asyncio.Event) -> None:
        """Match until `stop` is set; then finish the running windows and give the cities up."""
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(stop, settings.matcher_lease_renew_s, self._renew))
            group.create_task(self._repeat(stop, settings.matcher_housekeeping_s, self._keep_house))
            group.create_task(self._runner.remedies.run(stop))
            group.create_task(self._repeat(stop, settings.matcher_tick_ms / 1000, lambda: self._tick(group)))
        async with self._primary.acquire() as connection:
            await store.leave(connection, self.id, list(self._fences))

    async def _repeat(self, stop: asyncio.Event, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while not stop.is_set():
            wait_s = every_s
            try:
                await work()
            except OUTAGES as error:
                log.warning("a server does not answer", extra={"error": repr(error)})
                await self._server.set_serving(False)
                wait_s = min(every_s, self._settings.matcher_outage_wait_s)
            try:
                await asyncio.wait_for(stop.wait(), wait_s)
            except TimeoutError:
                continue

    async def _renew(self) -> None:
        async with self._primary.acquire() as connection:
            fences = await store.renew_leases(connection, self.id, self._settings.matcher_lease_ttl_s)
            self._cities = {city.code: city for city in await cities_store.every(connection)}
        if fences.keys() != self._fences.keys():
            log.info("cities leased", extra={"cities": sorted(fences)})
        self._fences = fences
        await self._server.set_serving(True)

    async def _tick(self, group: asyncio.TaskGroup) -> None:
        if not self._fences:
            return
        async with self._primary.acquire() as connection:
            await self._expire_offers(connection)
            rows = await store.due(connection, list(self._fences))
        for row in rows:
            city, fence = self._cities.get(row["city_code"]), self._fences.get(row["city_code"])
            if city is None or fence is None or city.code in self._running:
                continue
            full = row["deliveries"] >= city.policy.window_deliveries_max
            if full or row["waited_ms"] >= city.policy.window_ms:
                self._running.add(city.code)
                group.create_task(self._window(city, Lease(city.code, self.id, fence)))

    async def _window(self, city: City, lease: Lease) -> None:
        try:
            async with self._slots:
                window = await self._runner.run(city, lease)
        except LeaseLostError as error:
            log.warning("window dropped", extra={"city": city.code, "reason": error.reason})
        except OUTAGES as error:
            log.warning("window failed", extra={"city": city.code, "error": repr(error)})
        else:
            if window is not None and window.assigned:
                log.info("window", extra={"city": city.code, **_figures(window)})
        finally:
            self._running.discard(city.code)

    async def _expire_offers(self, connection: asyncpg.Connection) -> None:
        expired = await store.read_expired(connection, list(self._fences), self._settings.matcher_expired_max)
        if not expired:
            return
        moves = [
            Move(
                delivery_id=row["delivery_id"],
                to_state=DeliveryState.PENDING,
                actor=Actor.MATCHER,
                reason="OFFER_EXPIRED",
                offer_id=row["id"],
                offer_becomes=OfferState.EXPIRED,
            )
            for row in expired
        ]
        async with connection.transaction():
            # One that was answered a moment ago is refused, and that is its answer.
            await transition(connection, moves, datetime.now(UTC), moved_event)

    async def _keep_house(self) -> None:
        async with self._primary.acquire() as connection:
            await keep_house(connection, self._settings.matcher_retention, datetime.now(UTC))


def _figures(window: store.WindowRow) -> dict[str, float]:
    names = ("deliveries", "partners", "assigned", "conflicts", "build_ms", "solve_ms", "commit_ms")
    return {name: round(getattr(window, name), 1) for name in names}


async def run_matcher(settings: MatcherSettings, stop: asyncio.Event) -> None:
    """Wire a matcher and run it until `stop` is set."""
    # A broken rule stops the start, and no window.
    log.info("matching rules", extra={"rules": list(discovered())})
    started_s = time.monotonic()
    await asyncio.to_thread(warm)
    server = GrpcServer(f"{settings.host}:{settings.matcher_port}", (), None, settings.matcher_server)
    async with (
        await create_pool(str(settings.matcher_dsn), settings.matcher_pool, "assignment-matcher") as primary,
        redis.from_url(str(settings.redis_url)) as positions_store,
    ):
        positions = PositionBook(positions_store, settings.assignment_positions)
        with ThreadPoolExecutor(settings.matcher_solver_threads, "solver") as solvers:
            matcher = Matcher(primary, WindowRunner(primary, positions, settings, solvers), settings, server)
            after_s = round(time.monotonic() - started_s, 2)
            log.info("matcher started", extra={"matcher": str(matcher.id), "after_s": after_s})
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                await matcher.run(stop)
