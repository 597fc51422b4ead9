"""The relay: leads while it has the slot, stands by otherwise, and goes on by itself after any outage."""

import asyncio
import logging
from collections import deque
from contextlib import suppress

import asyncpg
import psycopg2
import redis.asyncio as redis
from redis.exceptions import RedisError

from libs.grpc_server.server import GrpcServer
from libs.postgres.event_slot import EventSlot, find_slots, has_begun, record_begun
from libs.postgres.outages import NOT_ANSWERED
from libs.telemetry import error_text
from services.relay import metrics
from services.relay.errors import SlotLostError, StreamsLostError
from services.relay.publishing.appender import Appender
from services.relay.publishing.redis_session import RedisSession
from services.relay.publishing.registrar import register_streams
from services.relay.publishing.trimmer import trim
from services.relay.settings import RelaySettings
from services.relay.slot.reader import SlotBusyError, SlotReader

log = logging.getLogger("relay")

LOG_PREFIX = "lastmile.events"
MEGABYTE = 1_000_000
OUTAGES = (psycopg2.Error, RedisError, *NOT_ANSWERED)


class Relay:
    """One relay process among any number."""

    def __init__(self, settings: RelaySettings, client: redis.Redis, server: GrpcServer) -> None:
        self._dsn = str(settings.relay_dsn)
        self._redis_url = str(settings.redis_url)
        self._publishes = settings.relay_publisher == "relay"
        self._publish = settings.relay_publish
        self._retention = settings.relay_retention
        self._client = client
        self._server = server
        self._leads = False
        self._stands_by = False

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set. Raises SlotLostError or StreamsLostError when somebody has to decide."""
        metrics.RETAINED_ALARM.set(self._retention.retained_mb_alarm * MEGABYTE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._watch_forever()), group.create_task(self._trim_forever())]
            while not stop.is_set():
                try:
                    await (self._session(stop) if self._publishes else self._look_after(stop))
                except OUTAGES as error:
                    log.warning("a server does not answer", extra={"error": error_text(error)})
                    await self._server.set_serving(False)
                    await _wait(stop, self._publish.outage_wait_s)
                finally:
                    self._leads = False
                    metrics.LEADING.set(0)
            for task in tasks:
                task.cancel()

    async def _look_after(self, stop: asyncio.Event) -> None:
        """Make known what another publisher has begun to fill. Any number may; each trims, which is the same twice."""
        added = await register_streams(self._client)
        if added:
            log.info("streams found", extra={"count": added})
        self._leads = True
        await self._server.set_serving(True)
        await _wait(stop, self._publish.standby_poll_s)

    async def _session(self, stop: asyncio.Event) -> None:
        """Lead until `stop` is set or a server fails; stand by for a moment when another process leads."""
        slot, begun = await self._look()
        try:
            reader = await SlotReader.open(self._dsn, slot.name, LOG_PREFIX, self._publish.connect_timeout_s)
        except SlotBusyError as error:
            if not self._stands_by:
                log.info("standing by", extra={"slot": slot.name, "reason": str(error)})
            self._stands_by = True
            await self._server.set_serving(True)
            await _wait(stop, self._publish.standby_poll_s)
            return
        try:
            session = await RedisSession.open(self._redis_url, self._publish.redis_timeout_s)
            try:
                appender = Appender(session, slot.epoch)
                if not await appender.epoch_is_kept():
                    if begun:
                        raise StreamsLostError(slot.epoch)
                    await appender.begin_epoch()
                await appender.refuse_streams_ahead(slot.end_lsn)
                log.info("leading", extra={"slot": slot.name, "from": slot.confirmed_lsn})
                self._leads, self._stands_by = True, False
                metrics.LEADING.set(1)
                await self._server.set_serving(True)
                await self._lead(stop, reader, appender, None if begun else slot.epoch)
            finally:
                await session.close()
        finally:
            reader.close()

    async def _lead(self, stop: asyncio.Event, reader: SlotReader, appender: Appender, to_begin: int | None) -> None:
        loop, limits = asyncio.get_running_loop(), self._publish
        # (end of a transaction, when its events were appended): acknowledged when Redis cannot lose them any more.
        held: deque[tuple[int, float]] = deque()
        began_s = acknowledged_s = loop.time()
        while not stop.is_set():
            batch = reader.read(limits.batch_events_max)
            if batch.entries:
                await appender.append(batch.entries)
            if batch.end_lsn is not None:
                held.append((batch.end_lsn, loop.time()))
            now_s = loop.time()
            if now_s - acknowledged_s >= limits.acknowledge_every_s:
                acknowledged_s = now_s
                await _acknowledge(reader, appender, held, now_s - limits.hold_back_s)
                if to_begin is not None and now_s - began_s > limits.hold_back_s:
                    await appender.prove_alive()
                    await self._record_begun(to_begin)
                    to_begin = None
            if not batch.entries and batch.end_lsn is None:
                await reader.wait_readable(limits.acknowledge_every_s)

    async def _look(self) -> tuple[EventSlot, bool]:
        """Return the slot, and whether Redis is known to keep its streams; SlotLostError when it cannot be read."""
        connection = await asyncpg.connect(self._dsn, timeout=self._publish.connect_timeout_s)
        try:
            slots = await find_slots(connection)
            if not slots:
                raise SlotLostError("The replication slot of the events is gone")
            slot = slots[0]
            metrics.RETAINED.set(slot.retained_bytes)
            if slot.wal_status == "lost" or slot.invalidation_reason:
                reason = slot.invalidation_reason or "its log was removed"
                raise SlotLostError(f"The replication slot {slot.name} is lost ({reason})")
            return slot, await has_begun(connection, slot.epoch)
        finally:
            connection.terminate()

    async def _record_begun(self, epoch: int) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=self._publish.connect_timeout_s)
        try:
            await record_begun(connection, epoch)
        finally:
            connection.terminate()

    async def _watch_forever(self) -> None:
        """Measure the log that is held back, whoever leads, and say so long before PostgreSQL drops it."""
        while True:
            try:
                slot, _ = await self._look()
                much = slot.retained_bytes >= self._retention.retained_mb_alarm * MEGABYTE
                if much or slot.wal_status == "unreserved":
                    log.error(
                        "PostgreSQL holds back much log for the relay",
                        extra={"retained_bytes": slot.retained_bytes, "wal_status": slot.wal_status},
                    )
            except OUTAGES as error:
                log.warning("the slot cannot be looked at", extra={"error": error_text(error)})
            await asyncio.sleep(self._retention.watch_every_s)

    async def _trim_forever(self) -> None:
        while True:
            await asyncio.sleep(self._retention.trim_every_s)
            if not self._leads:
                continue
            try:
                metrics.TRIMMED.inc(await trim(self._client, self._retention.stream_events_kept))
            except (RedisError, OSError) as error:
                log.warning("the streams cannot be trimmed", extra={"error": error_text(error)})


async def _acknowledge(reader: SlotReader, appender: Appender, held: deque[tuple[int, float]], before_s: float) -> None:
    """Acknowledge what was appended before a time, if the Redis that it was appended to has lived since."""
    lsn = None
    while held and held[0][1] <= before_s:
        lsn, _ = held.popleft()
    if lsn is not None:
        await appender.prove_alive()
        reader.acknowledge(lsn)


async def _wait(stop: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), timeout_s)
