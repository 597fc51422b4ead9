"""Runs a handler: tries a batch, finds which of its events fail, tries those again, and gives up on them in the end.

What the handler works with being away is no failure of an event: the batch is then tried again until that is back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_never, wait_random_exponential

from libs.postgres.errors import UNREACHABLE
from libs.streams import metrics
from libs.streams.codec import Event
from libs.streams.handler import Handler, TryLaterError
from libs.streams.limits import ConsumerLimits
from libs.streams.outages import REDIS_AWAY
from libs.telemetry import error_text

log = logging.getLogger("streams")

AWAY = (TryLaterError, *REDIS_AWAY, *UNREACHABLE)


class HandlerTimeoutError(Exception):
    """The handler took longer than its batch may take."""


class Attempts:
    """The attempts of one handler."""

    def __init__(self, handler: Handler, limits: ConsumerLimits) -> None:
        self._handler = handler
        self._limits = limits
        self._wait = wait_random_exponential(multiplier=limits.backoff_s_min, max=limits.backoff_s_max)

    async def batch(self, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        """Handle `events`; return those that are done, and those to try again by their aggregates, each in order.

        A batch that fails is halved until the event is alone that fails. Later events of its aggregate wait for it.
        """
        try:
            await self._call(events)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its events must not be lost
            if len(events) == 1:
                log.warning("event failed", extra=self._about(events[0], error))
                return [], list(events)
        else:
            return list(events), []
        middle = len(events) // 2
        done, failed = await self.batch(events[:middle])
        blocked = {event.subject for event in failed}
        failed += [event for event in events[middle:] if event.subject in blocked]
        rest = [event for event in events[middle:] if event.subject not in blocked]
        if rest:
            rest_done, rest_failed = await self.batch(rest)
            done, failed = done + rest_done, failed + rest_failed
        return done, failed

    async def lane(self, events: Sequence[Event]) -> AsyncIterator[tuple[Event, Exception | None]]:
        """Handle one aggregate's events one by one; yield each with None, or with why it was given up."""
        for event in events:
            try:
                retrying = AsyncRetrying(
                    stop=stop_after_attempt(self._limits.attempts_max), wait=self._wait, reraise=True
                )
                async for attempt in retrying:
                    with attempt:
                        await self._call([event])
            except Exception as error:  # noqa: BLE001 - as above
                log.error("event given up", extra=self._about(event, error))  # noqa: TRY400 - the reason is kept
                yield event, error
            else:
                yield event, None

    async def _call(self, events: Sequence[Event]) -> None:
        try:
            await self._once(events)
        except AWAY as error:
            # tenacity costs more than most batches: entered only now.
            log.warning("a batch waits", extra={"consumer": self._handler.name, "error": error_text(error)})
        else:
            return
        retrying = AsyncRetrying(
            stop=stop_never, wait=self._wait, retry=retry_if_exception(lambda e: isinstance(e, AWAY)), reraise=True
        )
        async for attempt in retrying:
            with attempt:
                await self._once(events)

    async def _once(self, events: Sequence[Event]) -> None:
        deadline = asyncio.timeout(self._limits.handle_timeout_s)
        try:
            async with deadline:
                await self._handler.handle(events)
        except TimeoutError:
            metrics.FAILED.labels(self._handler.name).inc()
            if deadline.expired():
                # Not the outage that a TimeoutError is elsewhere: the same events would take as long again.
                raise HandlerTimeoutError(f"took longer than {self._limits.handle_timeout_s} s") from None
            raise
        except Exception:
            metrics.FAILED.labels(self._handler.name).inc()
            raise

    def _about(self, event: Event, error: Exception) -> dict[str, object]:
        known: dict[str, object] = {"consumer": self._handler.name, "event_id": event.id, "type": event.message.type}
        return known | {"subject": event.subject, "entry": event.entry_id, "error": error_text(error)}
