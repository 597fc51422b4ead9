"""Tells one network of its offers and of their ends, as many at once as its bulkhead lets through.

What is due is leased, told, and settled. A dispatcher that dies in between leaves a lease that ends, and the same is
told again under the same key. An offer and its end never overtake each other: they are one row, leased by one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from libs.postgres.errors import UNREACHABLE
from libs.postgres.tenancy import visible
from libs.resilience.dependency import Dependency
from libs.resilience.errors import DependencyError, RefusedError
from libs.telemetry import error_text
from services.assignment.deliveries.lifecycle import DeliveryState, OfferState
from services.assignment.dispatch import metrics, store
from services.assignment.dispatch.adapters.base import NetworkAdapter, NetworkRefusedError, Reply
from services.assignment.dispatch.settings import DispatchLimits
from services.assignment.dispatch.store import Errand
from services.assignment.dispatch.taking_back import take_back
from services.assignment.dispatch.update import REFUSED_REASON, NetworkUpdate
from services.assignment.dispatch.updates import NetworkUpdates
from services.assignment.visibility import OPERATOR

log = logging.getLogger("dispatcher")

_OUTAGES = (*UNREACHABLE, asyncpg.PostgresError)
_ERROR_CHARS_MAX = 500
_OFFER, _END, _NOTHING, _MAYBE = "offer", "end", "nothing", "maybe"


class NetworkSender:
    """The worker of one network in one dispatcher."""

    def __init__(
        self,
        code: str,
        adapter: NetworkAdapter,
        dependency: Dependency,
        primary: asyncpg.Pool,
        updates: NetworkUpdates,
        limits: DispatchLimits,
    ) -> None:
        self._code = code
        self._adapter = adapter
        self._dependency = dependency
        self._primary = primary
        self._updates = updates
        self._limits = limits
        self._free = dependency.limits.at_once_max
        self._freed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell what is due until `stop` is set; then end what is under way. For `repeat`: it ends only by a bug."""
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                errands = await self._lease()
                for errand in errands:
                    self._free -= 1
                    group.create_task(self._work_off(errand))
                if not errands or not self._free:
                    await self._pause(stop)

    async def _lease(self) -> list[Errand]:
        # While the circuit lets nothing through, what is due waits for it unleased.
        if not self._free or not self._dependency.share:
            return []
        lease_s = self._dependency.limits.deadline_ms / 1000 + self._limits.lease_slack_s
        try:
            async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                return await store.lease(connection, self._code, self._free, lease_s)
        except _OUTAGES as error:
            log.warning("nothing can be leased", extra={"network": self._code, "error": error_text(error)})
            await asyncio.sleep(self._limits.outage_wait_ms / 1000)
            return []

    async def _pause(self, stop: asyncio.Event) -> None:
        self._freed.clear()
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._freed)]
        try:
            # A place that becomes free is of use only where all were taken.
            await asyncio.wait(
                waits if not self._free else waits[:1],
                timeout=self._limits.look_ms / 1000,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for wait in waits:
                wait.cancel()

    async def _work_off(self, errand: Errand) -> None:
        try:
            told, error, due_at = await self._tell(errand)
            async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                await store.settle(connection, errand, told, error[:_ERROR_CHARS_MAX], due_at)
        except _OUTAGES as error:
            # Its lease ends, and it is told again.
            log.warning("not settled", extra={"network": self._code, "error": error_text(error)})
        finally:
            self._free += 1
            self._freed.set()

    async def _tell(self, errand: Errand) -> tuple[str, str, datetime | None]:
        """Return what the network knows by now, the error, and when to try again."""
        is_offer = errand.wish == _OFFER
        if is_offer and not _is_live(errand):
            # Its end is on the way to here.
            return errand.told_before, "", None
        try:
            told = await (self._offer if is_offer else self._end)(errand)
        except DependencyError as error:
            certain = error.certainly_did_not_happen and is_offer
            later = self._later(errand, errand.told_before if certain else _maybe(errand), error, error.retry_after_ms)
            if _is_unheard(errand, later):
                async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                    await take_back(connection, [(errand.offer_id, errand.delivery_id)])
            return later
        except _OUTAGES:
            raise
        except Exception as error:  # a bug, or an answer that nothing is known about: the others go on
            log.exception("a network could not be told", extra={"network": self._code, "offer": str(errand.offer_id)})
            return self._later(errand, _maybe(errand), error, None)
        metrics.TOLD.labels(self._code, errand.wish).inc()
        return told, "", None

    async def _offer(self, errand: Errand) -> str:
        try:
            reply = await self._dependency.call(self._adapter.offer, _values(errand), f"{errand.offer_id}:{_OFFER}")
        except NetworkRefusedError as error:
            log.info("a network refuses an offer", extra={"network": self._code, "error": error_text(error)})
            await self._answer(errand, DeliveryState.PENDING, REFUSED_REASON)
            # What it refuses may be the second time: where an earlier call may have worked, it is told the end.
            return errand.told_before
        if reply is Reply.ACCEPTED:
            await self._answer(errand, DeliveryState.ASSIGNED, "")
        if reply is Reply.REJECTED:
            await self._answer(errand, DeliveryState.PENDING, "OFFER_REJECTED")
            return _END
        return _OFFER

    async def _end(self, errand: Errand) -> str:
        try:
            await self._dependency.call(self._adapter.end, _values(errand), f"{errand.offer_id}:{_END}")
        except NetworkRefusedError as error:
            # It has heard it. What it makes of it is between people: again would change nothing.
            log.warning("a network refuses an end", extra={"network": self._code, "error": error_text(error)})
            metrics.GIVEN_UP.labels(self._code, _END).inc()
        return _END

    async def _answer(self, errand: Errand, to_state: DeliveryState, reason: str) -> None:
        """Do what the network said at once."""
        is_accept = to_state is DeliveryState.ASSIGNED
        update = NetworkUpdate(errand.offer_id, to_state, is_accept, not is_accept, reason, None)
        await self._updates.apply(self._code, update)

    def _later(
        self, errand: Errand, told: str, error: Exception, retry_after_ms: int | None
    ) -> tuple[str, str, datetime | None]:
        metrics.NOT_TOLD.labels(self._code, type(error).__name__).inc()
        now = datetime.now(UTC)
        if now - errand.created_at > timedelta(seconds=self._limits.give_up_s):
            metrics.GIVEN_UP.labels(self._code, errand.wish).inc()
            return told, error_text(error), None
        # What was refused here was no try.
        tries = 1 if isinstance(error, RefusedError) else errand.attempts
        doubled_ms = self._limits.retry_ms_min * 2 ** min(tries - 1, 20)
        wait_ms = max(min(doubled_ms, self._limits.retry_ms_max), retry_after_ms or 0)
        return told, error_text(error), now + timedelta(milliseconds=wait_ms)


def _maybe(errand: Errand) -> str:
    return _MAYBE if errand.wish == _OFFER else errand.told_before


def _is_unheard(errand: Errand, later: tuple[str, str, datetime | None]) -> bool:
    """Whether a network was given up that has never heard of an assignment of its partner's."""
    told, _, due_at = later
    needs_none = errand.details is not None and errand.details["expires_at"] is None
    return errand.wish == _OFFER and told == _NOTHING and due_at is None and needs_none


def _is_live(errand: Errand) -> bool:
    details = errand.details
    if details is None:
        return False
    if details["offer_state"] == OfferState.OPEN.value:
        return details["expires_at"] is None or details["expires_at"] > datetime.now(UTC)
    return bool(details["offer_state"] == OfferState.ACCEPTED.value)


def _values(errand: Errand) -> dict[str, Any]:
    """Return our fields of an offer as JSON has them."""
    values = dict(errand.details or {})
    values |= {"offer_id": errand.offer_id, "delivery_id": errand.delivery_id, "reason": errand.reason}
    values["needs_answer"] = values.pop("offer_state", None) == OfferState.OPEN.value
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


async def repeat(
    stop: asyncio.Event,
    every_ms: int,
    work: Callable[[], Awaitable[None]],
    what: str,
    wake: asyncio.Event | None = None,
) -> None:
    """Do `work` every so often, and at once when `wake` is set, until `stop` is; an outage only delays it."""
    while not stop.is_set():
        if wake is not None:
            wake.clear()
        try:
            await work()
        except _OUTAGES as error:
            log.warning("%s: no database answers", what, extra={"error": error_text(error)})
        except Exception:  # a bug with one network costs the others nothing
            log.exception("%s failed", what)
        woken = stop if wake is None or stop.is_set() else wake
        with suppress(TimeoutError):
            async with asyncio.timeout(every_ms / 1000):
                await woken.wait()
