"""Answers queries from the cache where an answer there is good enough, and has one be made where none is.

A good answer is not outdated, within its query's window, and covers the position that the caller asks for. While many
wait for the same answer, one makes it. One that was outdated a moment ago is given while it is made anew. Where neither
a standby nor the primary's budget has an answer, one within the window is given though it is outdated: it says its age.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import grpc
from google.protobuf.message import Message

from libs.cache import entries, metrics
from libs.cache.entries import CACHE, FOUND, MISSING, Entry, Place
from libs.cache.errors import CacheAwayQueriesError, ReadersTooManyError, remembered_not_found
from libs.cache.flights import Flights
from libs.cache.kept import KeptBytes
from libs.cache.limits import CacheLimits
from libs.cache.link import CacheAwayError, CacheLink
from libs.cache.reuse import METADATA, Reusable, era_of
from libs.cache.verdict import Verdict, judge, life_ms
from libs.grpc_server.call import Call, Origin, answering
from libs.grpc_server.errors import NotFoundError, ServiceError
from libs.grpc_server.identity import Principal
from libs.ids import new_id_text
from libs.postgres.errors import UNREACHABLE
from libs.postgres.log_clock import LogClock
from libs.postgres.log_position import number_of
from libs.postgres.outages import CONNECTION_LOST, went_away
from libs.resilience.rate import Rate
from libs.telemetry import error_text

log = logging.getLogger("cache")

Produce = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class CachedQuery:
    """How one query's answers are kept: until what, and for how long at most.

    `tag` returns the name of that whose change outdates an answer, or None where this one is not kept.
    """

    tag: Callable[[Principal, Any], str | None]
    window_ms: int


@dataclass(frozen=True, slots=True)
class _Question:
    call: Call
    query: CachedQuery
    place: Place
    era: str
    produce: Produce
    wanted: int


@dataclass(frozen=True, slots=True)
class _Made:
    kind: bytes
    answer: bytes
    origin: Origin


class QueryCache:
    """The cache of one process."""

    def __init__(
        self,
        link: CacheLink,
        clock: LogClock,
        queries: Mapping[str, CachedQuery | None],
        limits: CacheLimits,
        is_standby_up: Callable[[], bool],
    ) -> None:
        """`queries` has every query by its RPC, None for one whose answers are not kept. Run `link` and `clock`."""
        self._link = link
        self._clock = clock
        self._queries = queries
        self._limits = limits
        self._is_standby_up = is_standby_up
        self._flights: Flights[_Made] = Flights()
        self._refreshes: Flights[None] = Flights()
        self._kept = KeptBytes(limits.kept_bytes_max)
        self._uncached = Rate(limits.uncached_per_s_max)
        self._waiting = 0
        self._name = new_id_text()

    async def answer(self, call: Call, request: Message, produce: Produce) -> Any:
        """Return the answer of a call, as a message or serialized; commands pass through. Raises what refuses it."""
        if call.method not in self._queries:
            return await produce()
        try:
            return await self._answer(call, request, produce)
        finally:
            if call.origin.age_ms is not None:
                metrics.AGE.labels(call.origin.source).observe(call.origin.age_ms / 1000)

    async def close(self) -> None:
        """End what is under way."""
        await self._flights.close()
        await self._refreshes.close()

    async def _answer(self, call: Call, request: Message, produce: Produce) -> Any:
        query = self._queries[call.method]
        tag = query.tag(call.principal, request) if query is not None and self._limits.enabled else None
        if query is None or tag is None or not self._clock.history:
            return await _persistently(produce)
        # The request as it was understood: a caller chooses its bytes, and neither its scope nor its tag.
        raw = request.SerializeToString(deterministic=True)
        era = era_of(self._clock, self._link)
        place = Place.of(tag, era, call.principal.scope, call.method, raw)
        wanted = number_of(call.consistency_token) if call.consistency_token else 0
        question = _Question(call, query, place, era, produce, wanted)
        name = call.method.rpartition("/")[2]
        try:
            entry = await entries.look_up(self._link, place)
        except CacheAwayError:
            metrics.AWAY.labels(name).inc()
            if not self._uncached.take():
                raise CacheAwayQueriesError from None
            return _given(question, await self._wait_for(question, None))
        verdict = judge(entry, wanted, query.window_ms, self._limits, self._clock)
        if entry is None:
            verdict = Verdict.USELESS
        elif verdict is Verdict.FRESH:
            metrics.HITS.labels(name).inc()
            return self._from_cache(question, entry)
        elif verdict is Verdict.STALE:
            metrics.STALE.labels(name).inc()
            self._refresh_aside(question, entry)
            return self._from_cache(question, entry, is_good=False)
        return await self._made_or_last_resort(question, entry, verdict, name)

    async def _made_or_last_resort(
        self, question: _Question, entry: Entry | None, verdict: Verdict, name: str
    ) -> bytes:
        usable = entry if verdict is Verdict.LAST_RESORT else None
        if usable is None or self._is_standby_up():
            metrics.MISSES.labels(name).inc()
            try:
                return _given(question, await self._wait_for(question, entry))
            except (ServiceError, *UNREACHABLE) as error:
                is_outage = not isinstance(error, ServiceError) or error.code is grpc.StatusCode.UNAVAILABLE
                if usable is None or not is_outage:
                    raise
        metrics.OUTAGE.labels(name).inc()
        return self._from_cache(question, usable, is_good=False)

    def _from_cache(self, question: _Question, entry: Entry, *, is_good: bool = True) -> bytes:
        return _given(question, _Made(entry.kind, entry.answer, self._origin_of(entry)), is_good=is_good)

    async def _wait_for(self, question: _Question, entry: Entry | None) -> _Made:
        """Have the answer be made, or wait for who makes it already."""
        if self._waiting >= self._limits.readers_waiting_max:
            raise ReadersTooManyError
        self._waiting += 1
        try:
            key = (question.place.key, question.wanted)
            return await asyncio.shield(self._flights.start(key, lambda: self._make_once(question, entry)))
        finally:
            self._waiting -= 1

    async def _make_once(self, question: _Question, entry: Entry | None) -> _Made:
        """Make the answer, unless another process does: then wait for that, though not for long."""
        deadline_s = time.monotonic() + self._limits.refresh_ms_max / 1000
        try:
            # Who asks for a position asks for itself: what others are making need not cover it.
            while not question.wanted:
                is_ours, kept = await self._take_turn(question.place)
                if kept is not None and (entry is None or kept.position > entry.position):
                    if is_ours:
                        await self._leave_turn(question.place)
                    return _Made(kept.kind, kept.answer, self._origin_of(kept))
                if is_ours or time.monotonic() >= deadline_s:
                    break
                await asyncio.sleep(self._limits.refresh_poll_ms / 1000)
        except CacheAwayError:
            pass
        return await self._make(question, entry)

    def _refresh_aside(self, question: _Question, entry: Entry) -> None:
        """Make the answer anew, unless somebody does; nor without a standby: the primary's cannot be kept."""
        key = question.place.key
        if not self._is_standby_up():
            return
        if (key, 0) in self._flights or key in self._refreshes or len(self._refreshes) >= self._limits.refreshes_max:
            return

        async def refresh() -> None:
            try:
                is_ours, kept = await self._take_turn(question.place)
                if is_ours and kept is not None and kept.position > entry.position:
                    await self._leave_turn(question.place)
                elif is_ours:
                    await self._make(question, entry)
            except CacheAwayError:
                return
            except (ServiceError, *UNREACHABLE) as error:
                log.warning("not refreshed", extra={"method": question.call.method, "error": error_text(error)})
            except Exception:
                # A reader would have been told; here nobody waits, and the next reader asks by itself.
                log.exception("a refresh failed", extra={"method": question.call.method})

        self._refreshes.start(key, refresh)

    async def _make(self, question: _Question, entry: Entry | None) -> _Made:
        """Ask the database as the caller may, keep the answer, and let others have their turn."""
        token = question.call.consistency_token if question.wanted else None
        hoped_for = 0 if entry is None or entry.outdated_from is None else entry.outdated_from
        call = replace(
            question.call, consistency_token=token, hoped_for=hoped_for, response_metadata={}, origin=Origin()
        )
        metrics.REFRESHES.labels(call.method.rpartition("/")[2]).inc()
        try:
            with answering(call):
                try:
                    kind, answer = FOUND, (await _persistently(question.produce)).SerializeToString()
                except NotFoundError as error:
                    kind, answer = MISSING, error.status().SerializeToString()
            made = _Made(kind, answer, call.origin)
            await self._keep(question, made)
        finally:
            if not question.wanted:
                await self._leave_turn(question.place)
        return made

    async def _keep(self, question: _Question, made: _Made) -> None:
        position = made.origin.position
        if position is None:
            return  # From the primary, where no position tells what a transaction has seen.
        ttl_ms = life_ms(made.kind, question.query.window_ms, self._limits) + self._limits.stale_ms
        if len(made.answer) > self._limits.entry_bytes_max:
            metrics.NOT_KEPT.labels("large").inc()
        elif not self._kept.add(question.place.key, len(made.answer), ttl_ms / 1000):
            metrics.NOT_KEPT.labels("room").inc()
        else:
            entry = Entry(made.kind, made.answer, position, None)
            try:
                command = entries.keep_command(question.place, entry, ttl_ms, self._limits.tag_ttl_s)
                entries.checked(await self._link.ask(command))
            except CacheAwayError:
                metrics.NOT_KEPT.labels("away").inc()

    def _origin_of(self, entry: Entry) -> Origin:
        return Origin(CACHE, entry.position, self._clock.age_ms(entry.position))

    async def _take_turn(self, place: Place) -> tuple[bool, Entry | None]:
        return await entries.take_turn(self._link, place, self._name, self._limits.refresh_ms_max)

    async def _leave_turn(self, place: Place) -> None:
        try:
            await entries.leave_turn(self._link, place, self._name)
        except CacheAwayError:
            return


async def _persistently(produce: Produce) -> Any:
    """Ask once more when the server went away in the middle: what only reads can be asked again."""
    try:
        return await produce()
    except CONNECTION_LOST as error:
        if not went_away(error):
            raise
        return await produce()


def _given(question: _Question, made: _Made, *, is_good: bool = True) -> bytes:
    """Return the answer with where it comes from, and with what whoever passes it on may do with a good one."""
    call, position = question.call, made.origin.position
    call.origin = made.origin
    if made.kind == MISSING:
        raise remembered_not_found(made.answer)
    if is_good and position is not None:
        reusable = Reusable(position, question.query.window_ms, question.era, question.place.tag)
        call.response_metadata[METADATA] = reusable.text()
    return made.answer
