"""Sends what is due. The protocol that keeps promise 5:

1. One transaction locks messages that are due, and writes down an attempt for each, with its provider and its words.
2. Only when that is committed the provider is asked, once.
3. The answer is written down. Whoever dies between 2 and 3 leaves an attempt whose lease ends: the sweeper calls it
   unknown. It is resolved by what the provider says, and never sent again but by a person's wish.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.postgres.batcher import MicroBatcher
from libs.postgres.errors import UNREACHABLE
from libs.telemetry import error_text
from services.notification import metrics
from services.notification.messages.lifecycle import MessageState
from services.notification.planning.rules import WEBHOOK
from services.notification.providers.outgoing import Accepted
from services.notification.providers.webhook import GONE
from services.notification.recipients import suppressing
from services.notification.sending import store
from services.notification.sending.carriers import Carrier, Places, Routes, end_of
from services.notification.sending.outcomes import AttemptEnd, Next, RetryLimits, Tried, after
from services.notification.sending.store import Finished
from services.notification.sending.taking import Ready, Taking
from services.notification.sending.waiting import Waiting, Writer
from services.notification.webhooks import health

log = logging.getLogger("notification")
_SAID_CHARS_MAX = 200


class SendLimits(BaseModel):
    """How much is sent at once, and how patiently."""

    model_config = ConfigDict(frozen=True)

    batch_messages_max: int = Field(100, ge=1, description="Messages taken up in one transaction")
    room_share_min: float = Field(
        0.4, gt=0, le=1, description="While attempts are under way, less of a provider's room is not filled"
    )
    poll_s: float = Field(0.2, gt=0, description="Time between looks for what is due on a channel where nothing is")
    outage_wait_s: float = Field(0.5, gt=0, description="Wait after a failure of the database, before the next try")
    lease_margin_s: float = Field(10.0, gt=0, description="An attempt is lost this long after its provider's deadline")
    digest_poll_s: float = Field(1.0, gt=0, description="Time between looks for digests that are due, on a channel")
    digest_every_s: float = Field(900, ge=0, description="Who got a digest, or what could be in one, waits this long")
    digest_messages_max: int = Field(500, ge=1, description="Messages that one digest counts")
    digest_recipients_max: int = Field(20, ge=1, description="Digests begun in one transaction")
    results_waiting_max: int = Field(10_000, ge=1, description="Outcomes that may wait to be written down")
    results_gather_s: float = Field(
        0.02, ge=0, description="An outcome waits so long for others that are written down with it"
    )
    look_up_after_s: float = Field(5.0, ge=0, description="A provider is asked about an unknown outcome after this")
    webhook_failures_max: int = Field(
        5, ge=1, description="Messages in a row that failed for good and disable a merchant's webhook"
    )
    drain_s: float = Field(20.0, gt=0, description="How long attempts that have begun may take to end after a stop")


@dataclass(slots=True)
class _Channel:
    """A channel as this sender goes about it."""

    name: str
    route: Sequence[Carrier]
    retry: RetryLimits
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    digests_at_s: float = 0.0


class Sender:
    """One sender among any number: they share what is due by its row locks."""

    def __init__(
        self,
        primary: asyncpg.Pool,
        routes: Routes,
        writer: Writer,
        limits: SendLimits,
        retry: RetryLimits,
        webhook_retry: RetryLimits,
    ) -> None:
        self._primary = primary
        self._writer = writer
        self._limits = limits
        self._channels = {
            name: _Channel(name, route, webhook_retry if name == WEBHOOK else retry) for name, route in routes.items()
        }
        self._results: MicroBatcher[Finished, None] = MicroBatcher(
            self._write_results, batch_items_max=500, queue_items_max=limits.results_waiting_max, writers=1,
            gather_s=limits.results_gather_s,
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then let what has begun end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._results.run())
            channels = [group.create_task(self._tend(group, channel, stop)) for channel in self._channels.values()]
            await asyncio.wait(channels)
            tasks = [task for channel in self._channels.values() for task in channel.tasks]
            if tasks:
                await asyncio.wait(tasks, timeout=self._limits.drain_s)
            for task in tasks:
                task.cancel()
            await self._results.close()

    async def _tend(self, group: asyncio.TaskGroup, channel: _Channel, stop: asyncio.Event) -> None:
        """Send what is due on one channel: no provider's trouble on another is in its way."""
        while not stop.is_set():
            channel.freed.clear()
            try:
                ready = await self._take(channel)
            except UNREACHABLE as error:
                log.warning("nothing taken up", extra={"channel": channel.name, "error": error_text(error)})
                await _wait(stop, self._limits.outage_wait_s)
                continue
            for one in ready:
                task = group.create_task(self._send(channel, one))
                channel.tasks.add(task)
                task.add_done_callback(channel.tasks.discard)
            if not ready and not stop.is_set():
                # As soon as an attempt has ended, there may be room for another.
                with suppress(TimeoutError):
                    awaited = channel.freed.wait() if channel.tasks else stop.wait()
                    await asyncio.wait_for(awaited, self._limits.poll_s)

    async def _take(self, channel: _Channel) -> list[Ready]:
        """Take up what is due, and write down that it is about to be sent; none while nobody has room."""
        limits, now = self._limits, datetime.now(UTC)
        if channel.tasks and max(carrier.room_share for carrier in channel.route) < limits.room_share_min:
            # Another transaction for every place that gets free would cost more than what is sent in it.
            return []
        places = Places.on(channel.route, limits.batch_messages_max)
        if not places.left:
            return []
        taking = Taking(places, self._writer, now, channel.retry)
        try:
            async with self._primary.acquire() as connection, connection.transaction():
                due = await store.take(connection, channel.name, now, places.left)
                digests = await self._take_digests(connection, channel, now, places.left)
                for waiting in due:
                    taking.prepare((waiting,))
                for recipient_id, same in groupby(digests, lambda waiting: waiting.recipient_id):
                    if taking.prepare(tuple(same)):
                        taking.digested.append(recipient_id)
                await self._write(connection, channel, taking)
        except BaseException:
            for one in taking.ready:
                one.carrier.release()
            raise
        finally:
            places.give_back()
        for _, why in taking.ended:
            metrics.UNSENT.labels(why.reason).inc()
        return taking.ready

    async def _take_digests(
        self, connection: asyncpg.Connection, channel: _Channel, now: datetime, places_max: int
    ) -> list[Waiting]:
        """Take up digests that are due, now and then: beside messages that are many, to ask each time costs as much."""
        limits, now_s = self._limits, asyncio.get_running_loop().time()
        if now_s < channel.digests_at_s:
            return []
        recipients_max = min(places_max, limits.digest_recipients_max)
        found = await store.take_digests(connection, channel.name, now, recipients_max, limits.digest_messages_max)
        # More of them may wait where there are so many.
        channel.digests_at_s = now_s + (0 if len(found) >= recipients_max else limits.digest_poll_s)
        return found

    async def _write(self, connection: asyncpg.Connection, channel: _Channel, taking: Taking) -> None:
        now = taking.now
        await store.end_unsent(connection, taking.ended, now)
        await store.postpone(connection, taking.postponed)
        await store.keep_quiet(connection, taking.quiet, now)
        if taking.digested:
            later = now + timedelta(seconds=self._limits.digest_every_s)
            await store.digested(connection, channel.name, taking.digested, later)
        lease_s = max((one.carrier.deadline_s for one in taking.ready), default=0.0) + self._limits.lease_margin_s
        lease_until = datetime.now(UTC) + timedelta(seconds=lease_s)
        await store.begin(connection, [one.begun for one in taking.ready], now, lease_until)

    async def _send(self, channel: _Channel, one: Ready) -> None:
        accepted, reason, suppress = Accepted(), "", ""
        try:
            accepted = await one.carrier.send(one.outgoing)
            end = AttemptEnd.TAKEN
        except Exception as error:  # noqa: BLE001 - whatever it was, the message's outcome follows from it
            end, reason, suppress = end_of(error)
            if end is AttemptEnd.UNKNOWN and one.carrier.provider.drops_repeats:
                end = AttemptEnd.NOT_SENT
            _log_end(one, end, error)
        finally:
            one.carrier.release()
            channel.freed.set()
        metrics.OUTCOMES.labels(channel.name, one.carrier.name, end.value).inc()
        route = [carrier.name for carrier in channel.route]
        first = one.together[0]
        tried = Tried(one.carrier.name, route, first.refused_by, first.rounds, first.expires_at)
        becomes = after(end, _plain(reason), tried, datetime.now(UTC), random.random(), channel.retry)  # noqa: S311 - spreads
        if end is AttemptEnd.TAKEN:
            becomes = replace(becomes, state=accepted.state)
        await self._written(
            one, Finished(one.outgoing.attempt_id, _plain(accepted.provider_message_id), becomes), suppress
        )

    async def _written(self, one: Ready, finished: Finished, suppress: str) -> None:
        """Write the outcome down. What cannot be written stays open, and is called unknown when its lease ends."""
        outgoing = one.outgoing
        try:
            await self._results.submit(finished)
            if suppress:
                async with self._primary.acquire() as connection:
                    await suppressing.suppress(
                        connection, self._writer.vault, outgoing.channel, outgoing.address, suppress
                    )
            if outgoing.channel == WEBHOOK and outgoing.merchant_id is not None:
                await self._note(outgoing.merchant_id, finished.next)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one outcome, the others are written down
            extra = {"attempt_id": str(finished.attempt_id), "error": type(error).__name__}
            log.warning("an outcome was not written down", extra=extra)

    async def _note(self, merchant_id: UUID, ended: Next) -> None:
        """Note what a merchant's system did, where that is final."""
        taken = ended.state is MessageState.DELIVERED
        if taken or ended.state is MessageState.FAILED:
            async with self._primary.acquire() as connection, connection.transaction():
                await health.noted(
                    connection, merchant_id, taken=taken, gone=ended.reason == GONE,
                    failures_max=self._limits.webhook_failures_max,
                )  # fmt: skip

    async def _write_results(self, finished: Sequence[Finished]) -> Sequence[Exception | None]:
        now = datetime.now(UTC)
        look_at = now + timedelta(seconds=self._limits.look_up_after_s)
        try:
            async with self._primary.acquire() as connection:
                await store.finish(connection, finished, now, look_at)
        except asyncpg.DataError as error:
            if len(finished) == 1:
                return [error]
            # One that cannot be kept must not take the others with it.
            return [result for one in finished for result in await self._write_results([one])]
        return [None] * len(finished)


def _plain(said: str) -> str:
    """Return what a provider says as what can be kept of it: it may say anything."""
    return "".join(character for character in said[:_SAID_CHARS_MAX] if " " <= character <= "~")


def _log_end(one: Ready, end: AttemptEnd, error: Exception) -> None:
    extra = {"attempt_id": str(one.outgoing.attempt_id), "provider": one.carrier.name, "outcome": end.value}
    if end is AttemptEnd.UNKNOWN:
        log.warning("nobody knows whether a message was sent", extra=extra | {"error": type(error).__name__})
    else:
        log.info("a message was not sent", extra=extra | {"error": type(error).__name__})


async def _wait(stop: asyncio.Event, wait_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), wait_s)
