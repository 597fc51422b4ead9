"""One city of a matcher: keeps its picture, expires its offers and closes its windows, until it is given up.

Nothing is polled: what is due is known from the picture, and the worker wakes at that time, or when news come. A bug
stops this city alone, loudly, and for longer each time.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from zlib import crc32

import asyncpg
import redis.asyncio as redis
from redis.exceptions import RedisError

from libs.postgres.errors import UNREACHABLE
from services.assignment.cities.city import City
from services.assignment.deliveries.lifecycle import Actor, DeliveryState, OfferState
from services.assignment.errors import LeaseLostError
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, Moved
from services.assignment.offers.store import transition
from services.assignment.picture import metrics
from services.assignment.picture.city_picture import CityPicture
from services.assignment.picture.follower import CityFollower
from services.assignment.picture.keeper import CityKeeper, CompanyKeeper
from services.assignment.picture.lag import PublishingLag
from services.assignment.picture.reconcile import Reconciler
from services.assignment.picture.source import Source
from services.assignment.windows.commit import Lease
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.store import WindowRow
from services.assignment.windows.window import WindowRunner

log = logging.getLogger("matcher")

# What a server's failure looks like; anything else is a bug.
OUTAGES = (*UNREACHABLE, asyncpg.PostgresError, RedisError)
# A worker looks at its city at least so often: its policy may have changed.
_LOOK_S_MAX = 1.0
_WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class Shared:
    """What the workers of a matcher share. `city_of` gives a city with its policy of this moment."""

    source: Source
    streams: redis.Redis
    runner: WindowRunner
    company: CompanyKeeper
    lag: PublishingLag
    settings: MatcherSettings
    slots: asyncio.Semaphore
    city_of: Callable[[str], City]


class CityWorker:
    """Works on one city under one lease."""

    def __init__(self, shared: Shared, lease: Lease) -> None:
        self.lease = lease
        self._shared = shared
        self._settings = shared.settings
        self._stop = asyncio.Event()
        limits = shared.settings.matcher_picture
        self.keeper = CityKeeper(shared.source, lease.city_code, shared.company)
        self.follower = CityFollower(shared.streams, self.keeper, limits, shared.lag)
        self._reconciler = Reconciler(self.keeper, self.follower, limits, shared.lag)
        # How often each of its works has failed since it last went well.
        self._failures: Counter[str] = Counter()

    def stop(self) -> None:
        """Have it finish its window and end."""
        self._stop.set()
        self.keeper.changed.set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        async with asyncio.TaskGroup() as group:
            others = [
                group.create_task(self._again_and_again("picture", lambda: self.follower.run(self._stop))),
                group.create_task(self._again_and_again("reconciliation", self._reconcile)),
            ]
            await self._again_and_again(_WINDOWS, self._windows)
            for task in others:
                task.cancel()
        metrics.FAILING.labels(self.lease.city_code).set(0)

    async def _again_and_again(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do what ends only with the worker; begin it again after a bug. It goes well when it has not failed long."""
        settings, city_code = self._settings, self.lease.city_code
        while not self._stop.is_set():
            recovery = asyncio.get_running_loop().call_later(settings.matcher_failure_wait_s_max, self._went_well, what)
            try:
                await work()
            except Exception:  # whatever it is, the other cities go on
                recovery.cancel()
                wait_s = min(
                    settings.matcher_failure_wait_s_max,
                    settings.matcher_failure_wait_s_min * 2.0 ** min(self._failures[what], 16),
                )
                self._failures[what] += 1
                metrics.FAILURES.labels(city_code).inc()
                metrics.FAILING.labels(city_code).set(1)
                log.exception("a city fails", extra={"city": city_code, "what": what, "again_after_s": wait_s})
                # The picture may be what is wrong.
                self.keeper.doubted = True
                await self._wait(wait_s)
            finally:
                recovery.cancel()

    def _went_well(self, what: str) -> None:
        self._failures.pop(what, None)
        if not self._failures:
            metrics.FAILING.labels(self.lease.city_code).set(0)

    async def _windows(self) -> None:
        settings = self._settings
        await self._until_ready()
        while not self._stop.is_set():
            self.keeper.changed.clear()
            try:
                if self.keeper.doubted:
                    await self.keeper.rebuild("doubt", anew=False)
                await self._expire_offers()
                if self._is_due():
                    await self._window()
            except LeaseLostError as error:
                log.warning("window dropped", extra={"city": self.lease.city_code, "reason": error.reason})
                await self._wait(settings.matcher_outage_wait_s)
            except OUTAGES as error:
                log.warning("window failed", extra={"city": self.lease.city_code, "error": repr(error)})
                await self._wait(settings.matcher_outage_wait_s)
            await self._wait(settings.matcher_tick_ms / 1000)
            await self._until_due()

    def _is_due(self) -> bool:
        policy, now_s = self._shared.city_of(self.lease.city_code).policy, self.keeper.source.now_s()
        pending = self.keeper.picture.pending
        first_s = pending.time_s(0)
        full = pending.count_due(now_s) >= policy.window_deliveries_max
        return full or (first_s is not None and now_s - first_s >= policy.window_ms / 1000)

    async def _window(self) -> None:
        city = self._shared.city_of(self.lease.city_code)
        async with self._shared.slots:
            window = await self._shared.runner.run(city, self.lease, self.keeper)
        self._went_well(_WINDOWS)
        if window is not None and window.assigned:
            log.info("window", extra={"city": city.code, **_figures(window)})

    async def _expire_offers(self) -> None:
        keeper, now_s = self.keeper, self.keeper.source.now_s()
        expired = keeper.picture.expired(now_s, self._settings.matcher_expired_max)
        if not expired:
            return
        moves = [
            Move(
                delivery_id=live.id,
                to_state=DeliveryState.PENDING,
                actor=Actor.MATCHER,
                reason="OFFER_EXPIRED",
                offer_id=live.offer.id,
                offer_becomes=OfferState.EXPIRED,
            )
            for live in expired
            if live.offer is not None
        ]
        async with keeper.lock:
            async with self._shared.source.primary.acquire() as connection, connection.transaction():
                # One that was answered a moment ago is refused, and that is its answer.
                outcomes = await transition(connection, moves, datetime.now(UTC), moved_event)
            unsure = keeper.committed([outcome for outcome in outcomes if isinstance(outcome, Moved)])
            unsure |= {m.delivery_id for m, o in zip(moves, outcomes, strict=True) if not isinstance(o, Moved)}
            if unsure:
                await keeper.refresh_locked(set(), unsure, "conflict")

    async def _reconcile(self) -> None:
        await self._until_ready()
        # Cities that were taken together are compared apart, and none whose picture has just been made.
        every_s = self._settings.matcher_picture.reconcile_s
        wait_s = every_s * (1 + crc32(self.lease.city_code.encode()) % 100) / 100
        while not self._stop.is_set():
            await self._wait(wait_s)
            wait_s = every_s
            # A picture that is read again and again is as true as it can be.
            if self._stop.is_set() or not self.follower.hears_events:
                continue
            try:
                await self._reconciler.compare()
            except OUTAGES as error:
                log.warning("not reconciled", extra={"city": self.lease.city_code, "error": repr(error)})

    async def _until_ready(self) -> None:
        while not (self.keeper.ready.is_set() or self._stop.is_set()):
            await self.keeper.changed.wait()
            self.keeper.changed.clear()

    async def _until_due(self) -> None:
        """Wait until something may be due, or changes."""
        policy, now_s = self._shared.city_of(self.lease.city_code).policy, self.keeper.source.now_s()
        next_s = next_due_s(self.keeper.picture, policy.window_ms / 1000, policy.window_deliveries_max)
        wait_s = _LOOK_S_MAX if next_s is None else min(_LOOK_S_MAX, max(0.0, next_s - now_s))
        with suppress(TimeoutError):
            await asyncio.wait_for(self.keeper.changed.wait(), wait_s)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def next_due_s(picture: CityPicture, window_s: float, deliveries_max: int) -> float | None:
    """Return when a window closes or an offer expires next, if nothing changes until then; seconds since 1970."""
    first_s = picture.pending.time_s(0)
    times = (
        None if first_s is None else first_s + window_s,
        picture.pending.time_s(deliveries_max - 1),
        picture.expiring.time_s(0),
    )
    return min((at_s for at_s in times if at_s is not None), default=None)


def _figures(window: WindowRow) -> dict[str, float]:
    names = ("deliveries", "partners", "assigned", "conflicts", "build_ms", "solve_ms", "commit_ms")
    return {name: round(getattr(window, name), 1) for name in names}
