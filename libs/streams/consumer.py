"""A consumer: reads its cities' streams for one group, keeps each aggregate's order, and loses nothing when it dies."""

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

import redis.asyncio as redis
from redis.exceptions import ResponseError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from libs.ids import new_id_text
from libs.streams import dead_letters, groups, metrics
from libs.streams.attempts import Attempts
from libs.streams.codec import Event, UndecodableEventError, content_of, decode
from libs.streams.groups import Entry
from libs.streams.handler import Handler
from libs.streams.lanes import Lanes
from libs.streams.leases import CityLeases
from libs.streams.limits import ConsumerLimits
from libs.streams.names import StreamName, replay_key
from libs.streams.outages import REDIS_AWAY
from libs.streams.reading import NewEntries
from libs.telemetry import error_text

log = logging.getLogger("streams")


class Consumer:
    """One handler's consumer in this process."""

    def __init__(self, client: redis.Redis, handler: Handler, limits: ConsumerLimits) -> None:
        """`client` must not try again by itself: a reply that was lost has to be noticed."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{new_id_text()[-8:]}"
        self._client = client
        self._group = handler.name
        self._types = handler.types
        self._limits = limits
        self._attempts = Attempts(handler, limits)
        self._leases = CityLeases(client, handler.name, self.name, limits)
        self._new = NewEntries(client, handler.name, self.name, limits)
        self._lanes = Lanes()
        # What is in this process: waiting, being handled, or tried again. Entries and how many of each city.
        self._open: dict[tuple[str, str], str] = {}
        self._open_of: Counter[str] = Counter()
        self._city_of: dict[str, str] = {}
        self._reading: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Entries that are done and not acknowledged yet, by stream.
        self._done: dict[str, list[str]] = {}
        self._acknowledging = False
        self._busy = 0
        self._retries = asyncio.Semaphore(limits.retries_at_once_max)
        self._moved = asyncio.Event()
        self._renew_at_s = self._sweep_at_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then finish what has begun, and leave the rest to another process."""
        async with asyncio.TaskGroup() as tasks:
            self._task_group = tasks
            while not stop.is_set():
                try:
                    await self._step()
                except REDIS_AWAY as error:
                    log.warning("redis is away", extra={"consumer": self._group, "error": error_text(error)})
                    # A reply may be lost, and with it what was delivered: everything is claimed again.
                    self._forget(set(self._city_of.values()))
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), self._limits.outage_wait_s)
                except ResponseError as error:
                    if not any(sign in str(error) for sign in groups.GONE):
                        raise
                    # Destroyed by hand, or lost with the last second of a Redis that died.
                    log.warning("a group is made again", extra={"consumer": self._group, "error": str(error)})
                    self._forget(set(self._city_of.values()))
            await self._drain()

    async def _step(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._renew_at_s:
            await self._renew()
            self._renew_at_s = now_s + self._limits.lease_renew_s
        if now_s >= self._sweep_at_s:
            await self._sweep()
            self._sweep_at_s = now_s + self._limits.sweep_s
        wait_s = max(0.001, min(self._limits.read_block_ms / 1000, self._renew_at_s - now_s))
        reading = {city: own for city, own in self._reading.items() if city not in self._leases.leaving}
        if not reading or len(self._open) >= self._limits.queued_events_max:
            await self._movement(wait_s)
            return
        found, lost = await self._new.read(reading, max(1, int(wait_s * 1000)))
        for stream, entries in found:
            await self._admit(stream, entries)
        if lost:
            self._renew_at_s = 0.0

    async def _renew(self) -> None:
        await groups.register(self._client, self._group)
        known = await groups.streams_by_city(self._client)
        taken = await self._leases.renew(known, lambda city: not self._open_of[city])
        self._forget([city for city in self._reading if city not in self._leases.owned or city in taken])
        # A Redis that lost its last second may have lost the name of a stream: the relay says it again.
        for city in self._leases.owned & known.keys():
            if city not in self._reading:
                await self._adopt(city, known[city])
            elif len(known[city]) > 1:
                self._reading[city][0] = await self._epoch_to_read(known[city])
        metrics.CITIES.labels(self._group).set(len(self._reading))
        metrics.WAITING.labels(self._group).set(len(self._lanes))
        unread = [await groups.progress(self._client, own[0]) for own in self._reading.values()]
        metrics.LAG.labels(self._group).set(
            sum((one[self._group]["unread"] or 0) for one in unread if self._group in one)
        )

    async def _adopt(self, city: str, names: Sequence[StreamName]) -> None:
        """Begin to read a city: first what another process, or this one, was given and never acknowledged."""
        replayed = replay_key(city, self._group)
        for stream in (*map(str, names), replayed):
            self._city_of[stream] = city
            await groups.ensure_group(self._client, stream, self._group)
            await self._claim(stream, 0)
            await groups.delete_idle_consumers(self._client, stream, self._group, self.name)
        self._reading[city] = [await self._epoch_to_read(names), replayed]

    async def _epoch_to_read(self, names: Sequence[StreamName]) -> str:
        """Return the oldest stream that the group is not done with: epochs are read one after the other."""
        for name in names[:-1]:
            if not await groups.is_drained(self._client, str(name), self._group):
                return str(name)
        stream = str(names[-1])
        self._city_of[stream] = names[-1].city_code
        await groups.ensure_group(self._client, stream, self._group)
        return stream

    async def _sweep(self) -> None:
        for stream in [stream for own in self._reading.values() for stream in own]:
            await self._claim(stream, int(self._limits.sweep_s * 1000))

    async def _claim(self, stream: str, idle_ms_min: int) -> None:
        async for entries, gone in groups.claimed(self._client, stream, self._group, self.name, idle_ms_min):
            if gone:
                log.error(
                    "delivered entries were trimmed", extra={"consumer": self._group, "stream": stream, "count": gone}
                )
            await self._admit(stream, entries)

    async def _admit(self, stream: str, entries: Iterable[Entry]) -> None:
        """Queue what came, bury what is no event, and acknowledge what the handler did not ask for."""
        city = self._city_of[stream]
        unwanted: list[tuple[str, str]] = []
        for raw_id, fields in entries:
            entry_id = raw_id.decode()
            key = (stream, entry_id)
            if key in self._open:
                continue
            self._open[key] = city
            self._open_of[city] += 1
            raw = content_of(fields)
            try:
                event = decode(stream, entry_id, raw)
            except UndecodableEventError as error:
                log.error("undecodable event", extra={"consumer": self._group, "entry": entry_id, "error": str(error)})  # noqa: TRY400 - the reason says it
                self._start(self._bury(key, raw or b"", f"UNDECODABLE: {error}", 1))
                continue
            if self._types and event.message.type not in self._types:
                unwanted.append(key)
            else:
                self._lanes.put(event)
        self._acknowledge(unwanted)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._lanes.is_ready and self._busy < self._limits.tasks_max:
            self._busy += 1
            self._start(self._work(self._lanes.take(self._limits.batch_events_max)))

    async def _work(self, batch: list[Event]) -> None:
        try:
            done, failed = await self._attempts.batch(batch)
            self._acknowledge([(event.stream, event.entry_id) for event in done])
            again: dict[str, list[Event]] = {}
            for event in failed:
                again.setdefault(event.subject, []).append(event)
            self._lanes.done({event.subject for event in batch} - again.keys())
            for events in again.values():
                self._start(self._try_again(events))
        finally:
            self._busy -= 1
        self._dispatch()

    async def _try_again(self, events: list[Event]) -> None:
        """Handle one aggregate's events alone, so that others need not wait; its lane is shut until they are done."""
        async with self._retries:
            async for event, error in self._attempts.lane(events):
                key = (event.stream, event.entry_id)
                if error is None:
                    self._acknowledge([key])
                else:
                    await self._bury(key, event.raw, error_text(error), self._limits.attempts_max + 1)
        self._lanes.done([events[0].subject])
        self._dispatch()

    async def _bury(self, key: tuple[str, str], raw: bytes, reason: str, attempts: int) -> None:
        stream, entry_id = key
        limits = self._limits
        again = AsyncRetrying(
            retry=retry_if_exception_type(REDIS_AWAY),
            wait=wait_random_exponential(limits.backoff_s_min, limits.backoff_s_max),
        )
        async for attempt in again:
            with attempt:
                await dead_letters.bury(
                    self._client, self._city_of[stream], self._group, (stream, entry_id, raw), reason, attempts,
                    limits.dead_letters_max,
                )  # fmt: skip
        metrics.DEAD.labels(self._group, reason.partition(":")[0]).inc()
        self._close([key])

    def _acknowledge(self, keys: Sequence[tuple[str, str]]) -> None:
        """Have entries acknowledged, together with others that are done meanwhile."""
        for stream, entry_id in keys:
            self._done.setdefault(stream, []).append(entry_id)
        if keys and not self._acknowledging:
            self._acknowledging = True
            self._start(self._send_acknowledgements())

    async def _send_acknowledgements(self) -> None:
        while self._done:
            done, self._done = self._done, {}
            try:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for stream, entry_ids in done.items():
                        pipeline.xack(stream, self._group, *entry_ids)
                    await pipeline.execute()
            except REDIS_AWAY as error:
                # They come again, and their ids tell that they have had their effect.
                log.warning("not acknowledged", extra={"consumer": self._group, "error": error_text(error)})
            keys = [(stream, entry_id) for stream, entry_ids in done.items() for entry_id in entry_ids]
            metrics.HANDLED.labels(self._group).inc(len(keys))
            self._close(keys)
        self._acknowledging = False

    def _close(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            city = self._open.pop(key, None)
            if city is not None:
                self._open_of[city] -= 1
        self._moved.set()

    def _forget(self, cities: Collection[str]) -> None:
        """Read these cities no longer; what of them has begun goes on."""
        streams = [stream for stream, city in self._city_of.items() if city in cities]
        self._close([(event.stream, event.entry_id) for event in self._lanes.drop(streams)])
        for city in list(cities):
            self._reading.pop(city, None)
        if cities:
            self._new.forget()
            self._renew_at_s = 0.0

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._task_group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._moved.set()

    async def _movement(self, timeout_s: float) -> None:
        """Wait until something is done with, or for `timeout_s`."""
        self._moved.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), timeout_s)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._limits.drain_s
        try:
            while self._tasks and loop.time() < ends_s:
                await self._movement(min(self._limits.lease_renew_s, ends_s - loop.time()))
                await self._leases.renew(self._leases.owned, lambda _: False)
            for task in list(self._tasks):
                task.cancel()
            for stream in [stream for own in self._reading.values() for stream in own]:
                await groups.delete_idle_consumers(self._client, stream, self._group, kept=None)
            await self._leases.leave()
        except (*REDIS_AWAY, ResponseError) as error:
            log.warning("left without a word", extra={"consumer": self._group, "error": error_text(error)})
            for task in list(self._tasks):
                task.cancel()
