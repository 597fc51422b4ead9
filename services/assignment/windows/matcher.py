"""The matcher's process: leases cities, has a worker for each, and keeps house."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import redis.asyncio as redis

from libs.grpc_server.server import GrpcServer
from libs.ids import new_id
from libs.postgres.pool import create_pool
from libs.streams.names import NO_CITY
from libs.telemetry.metrics import serve_metrics
from services.assignment.cities import store as cities_store
from services.assignment.cities.city import City
from services.assignment.matching.rules.registry import discovered
from services.assignment.matching.warm import warm
from services.assignment.partners.positions import PositionBook
from services.assignment.picture import metrics
from services.assignment.picture.follower import CompanyFollower
from services.assignment.picture.keeper import CompanyKeeper
from services.assignment.picture.lag import PublishingLag
from services.assignment.picture.source import Source
from services.assignment.retention.keeper import keep_house
from services.assignment.windows import store
from services.assignment.windows.city_worker import OUTAGES, CityWorker, Shared
from services.assignment.windows.commit import Lease
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.window import WindowRunner

log = logging.getLogger("matcher")


class Matcher:
    """One matcher among any number."""

    def __init__(
        self,
        primary: asyncpg.Pool,
        streams: redis.Redis,
        runner: WindowRunner,
        settings: MatcherSettings,
        server: GrpcServer,
    ) -> None:
        self.id: UUID = new_id()
        self._primary = primary
        self._runner = runner
        self._settings = settings
        self._server = server
        self._cities: dict[str, City] = {}
        self._workers: dict[str, tuple[CityWorker, asyncio.Task[None]]] = {}
        self._lag = PublishingLag(settings.matcher_picture.lag_s_max)
        company = CompanyKeeper(primary)
        self._company = CompanyFollower(streams, company, settings.matcher_picture, self._lag)
        self._shared = Shared(
            source=Source(primary, settings.matcher_picture.reads_at_once_max),
            streams=streams,
            runner=runner,
            company=company,
            lag=self._lag,
            settings=settings,
            slots=asyncio.Semaphore(settings.matcher_windows_at_once_max),
            city_of=lambda city_code: self._cities[city_code],
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Match until `stop` is set; then finish the running windows and give the cities up."""
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_company(stop))
            group.create_task(self._repeat(stop, settings.matcher_lease_renew_s, lambda: self._renew(group, stop)))
            group.create_task(self._repeat(stop, settings.matcher_housekeeping_s, self._keep_house))
            group.create_task(self._runner.remedies.run(stop))
            await stop.wait()
            for worker, _ in self._workers.values():
                worker.stop()
        async with self._primary.acquire() as connection:
            await store.leave(connection, self.id, list(self._workers))

    async def _repeat(self, stop: asyncio.Event, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while not stop.is_set():
            wait_s = every_s
            try:
                await work()
            except OUTAGES as error:
                log.warning("a server does not answer", extra={"error": repr(error)})
                await self._server.set_serving(False)
                wait_s = min(every_s, self._settings.matcher_outage_wait_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)

    async def _follow_company(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._company.run(stop)
            except Exception:  # the cities go on with what they know
                metrics.FAILURES.labels(NO_CITY).inc()
                log.exception("what belongs to no city is not followed")
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._settings.matcher_failure_wait_s_max)

    async def _renew(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        async with self._primary.acquire() as connection:
            fences = await store.renew_leases(connection, self.id, self._settings.matcher_lease_ttl_s)
            self._cities = {city.code: city for city in await cities_store.every(connection)}
            self._shared.source.set_time(await self._lag.look(connection))
        if not stop.is_set():
            self._employ(group, fences)
        deaf = [worker for worker, _ in self._workers.values() if not worker.follower.hears_events]
        metrics.WITHOUT_EVENTS.set(len(deaf))
        await self._server.set_serving(True)

    def _employ(self, group: asyncio.TaskGroup, fences: dict[str, int]) -> None:
        """Have a worker for each city that is leased, under the fence of now."""
        before = set(self._workers)
        for city_code, (worker, task) in list(self._workers.items()):
            if task.done():
                del self._workers[city_code]
            elif fences.get(city_code) != worker.lease.fence:
                # Another matcher has had the city: what it did, no event may have told.
                worker.stop()
        for city_code, fence in fences.items():
            if city_code not in self._workers and city_code in self._cities:
                worker = CityWorker(self._shared, Lease(city_code, self.id, fence))
                self._workers[city_code] = worker, group.create_task(worker.run())
        if set(self._workers) != before:
            log.info("cities leased", extra={"cities": sorted(fences)})

    async def _keep_house(self) -> None:
        async with self._primary.acquire() as connection:
            await keep_house(connection, self._settings.matcher_retention, datetime.now(UTC))


async def run_matcher(settings: MatcherSettings, stop: asyncio.Event) -> None:
    """Wire a matcher and run it until `stop` is set."""
    # A broken rule stops the start, and no window.
    log.info("matching rules", extra={"rules": list(discovered())})
    started_s = time.monotonic()
    await asyncio.to_thread(warm)
    server = GrpcServer(f"{settings.host}:{settings.matcher_port}", (), None, settings.matcher_server)
    url, timeout_s = str(settings.redis_url), settings.matcher_picture.redis_timeout_s
    async with (
        await create_pool(str(settings.matcher_dsn), settings.matcher_pool, "assignment-matcher") as primary,
        redis.from_url(url) as positions_store,
        redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as streams,
    ):
        positions = PositionBook(positions_store, settings.assignment_positions)
        with (
            ThreadPoolExecutor(settings.matcher_solver_threads, "solver") as solvers,
            serve_metrics(settings.host, settings.matcher_metrics_port),
        ):
            runner = WindowRunner(primary, positions, settings, solvers)
            matcher = Matcher(primary, streams, runner, settings, server)
            after_s = round(time.monotonic() - started_s, 2)
            log.info("matcher started", extra={"matcher": str(matcher.id), "after_s": after_s})
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                await matcher.run(stop)
