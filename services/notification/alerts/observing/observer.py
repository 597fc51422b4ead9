"""Looks at everything that alerts are made from: circuits and streams in Redis, messages in PostgreSQL."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import redis.asyncio as redis
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError

from libs.resilience.board import BoardLimits, read_board, wait_for_change
from libs.streams import groups
from libs.telemetry import error_text
from services.notification.alerts.alert import Impact, Key, Kind
from services.notification.alerts.observing import store
from services.notification.alerts.signals import (
    NETWORK_PREFIX,
    PROVIDER_PREFIX,
    Signal,
    SignalLimits,
    of_circuits,
    of_queues,
    of_receipts,
    of_streams,
)

log = logging.getLogger("alerts")
_REDIS_AWAY = (RedisError, OSError, TimeoutError)
# What Redis alone knows of.
_CIRCUITS, _STREAMS = frozenset({Kind.NETWORK, Kind.PROVIDER}), frozenset({Kind.STREAM})
# A network's first offers are taken back before its circuit is seen to be open.
_SLACK = timedelta(seconds=5)


class ObserverLimits(BaseModel):
    """How often one looks, and how far back."""

    model_config = ConfigDict(frozen=True)

    look_ms: int = Field(500, gt=0, description="Time between looks; a circuit that changes is looked at at once")
    slow_look_s: float = Field(10.0, gt=0, description="Time between looks at receipts and streams")
    redis_timeout_ms: int = Field(1_000, gt=0, description="Redis is away when it answers later than this")
    receipts_wait_s: float = Field(300, gt=0, description="A message may take this long to get its receipt")
    receipts_window_s: float = Field(600, gt=0, description="Receipts of messages from such a time are compared")
    receipts_before_s: float = Field(21_600, gt=0, description="With those of messages from this long ago on")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found, and the kinds of which not all could be known."""

    signals: Sequence[Signal]
    unseen: frozenset[Kind]


class Observer:
    """Looks, for one alerter. `routes` are the providers of each channel."""

    def __init__(
        self,
        client: redis.Redis,
        routes: Mapping[str, Sequence[str]],
        limits: ObserverLimits,
        signal_limits: SignalLimits,
        board_limits: BoardLimits,
    ) -> None:
        self._client = client
        self._routes = routes
        self._limits = limits
        self._signal_limits = signal_limits
        self._board_limits = board_limits
        self._last_change: Any = b"$"
        self._slow = Seen((), frozenset())
        self._slow_due_s = float("-inf")
        self._redis_is_up = True

    async def wait(self) -> None:
        """Wait until a circuit has changed, and no longer than until the next look."""
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout((self._limits.look_ms + self._limits.redis_timeout_ms) / 1000):
                self._last_change = await wait_for_change(self._client, self._last_change, self._limits.look_ms)
        except _REDIS_AWAY as error:
            self._redis_failed(error)
            left_s = self._limits.look_ms / 1000 - (asyncio.get_running_loop().time() - started_s)
            await asyncio.sleep(max(0.0, left_s))

    async def look(
        self, connection: asyncpg.Connection, now: datetime, receipts_missing_since: datetime | None
    ) -> Seen:
        """Return all that can be known now. While receipts are missing, those of before then are what is usual.

        Raises what the database raises.
        """
        circuits = await self._circuits()
        queues = of_queues(await store.queues(connection, self._routes, now), self._signal_limits)
        time_s = asyncio.get_running_loop().time()
        if time_s >= self._slow_due_s:
            receipts, streams = await self._receipts(connection, now, receipts_missing_since), await self._streams()
            self._slow = Seen([*receipts, *(streams or ())], _STREAMS if streams is None else frozenset())
            self._slow_due_s = time_s + self._limits.slow_look_s
        unseen = _CIRCUITS if circuits is None else frozenset()
        return Seen([*(circuits or ()), *queues, *self._slow.signals], unseen | self._slow.unseen)

    async def impact(self, connection: asyncpg.Connection, key: Key, since: datetime, now: datetime) -> Impact:
        """Return whom an outage affects. Raises what the database raises."""
        if key.kind is Kind.NETWORK:
            code = key.subject.removeprefix(NETWORK_PREFIX)
            lost = await store.withdrawn(connection, code, since - _SLACK)
            partners = await store.partners(connection, code)
            return Impact(partners, lost["offers"], lost["rematched"], merchants=lost["merchants"])
        if key.kind is Kind.STREAM:
            return Impact()
        concerned = await store.messages(connection, self._channels_of(key), self._provider_of(key), now)
        waiting, unknown = concerned["waiting"], concerned["unknown"]
        return Impact(messages_waiting=waiting, messages_unknown=unknown, merchants=concerned["merchants"])

    async def concerned(
        self, connection: asyncpg.Connection, key: Key, since: datetime, now: datetime
    ) -> Mapping[Any, int]:
        """Return the merchants who want to know and are affected, with how many of their deliveries or messages are."""
        if key.kind is Kind.NETWORK:
            code = key.subject.removeprefix(NETWORK_PREFIX)
            return await store.withdrawn_news(connection, code, since - _SLACK)
        if key.kind is Kind.STREAM:
            return {}
        return await store.messages_news(connection, self._channels_of(key), self._provider_of(key), now)

    def _channels_of(self, key: Key) -> list[str]:
        if key.kind is Kind.QUEUE:
            return [key.subject]
        provider = self._provider_of(key)
        return sorted(channel for channel, names in self._routes.items() if provider in names)

    @staticmethod
    def _provider_of(key: Key) -> str:
        return key.subject.removeprefix(PROVIDER_PREFIX) if key.kind is Kind.PROVIDER else ""

    async def _circuits(self) -> Iterator[Signal] | None:
        try:
            async with asyncio.timeout(self._limits.redis_timeout_ms / 1000):
                reports = await read_board(self._client, self._board_limits)
        except _REDIS_AWAY as error:
            self._redis_failed(error)
            return None
        self._redis_is_up = True
        return of_circuits(reports, self._signal_limits)

    async def _receipts(
        self, connection: asyncpg.Connection, now: datetime, missing_since: datetime | None
    ) -> Iterator[Signal]:
        limits = self._limits
        spans = (limits.receipts_wait_s, limits.receipts_window_s, limits.receipts_before_s)
        known = await store.receipts(
            connection, now, missing_since or now, *(timedelta(seconds=span_s) for span_s in spans)
        )
        return of_receipts(known, self._signal_limits)

    async def _streams(self) -> Iterator[Signal] | None:
        unread: dict[str, int] = {}
        try:
            async with asyncio.timeout(self._limits.redis_timeout_ms / 1000):
                for streams in (await groups.streams_by_city(self._client)).values():
                    for name in streams:
                        for group, state in (await groups.progress(self._client, str(name))).items():
                            unread[group] = unread.get(group, 0) + (state["unread"] or 0)
        except _REDIS_AWAY as error:
            self._redis_failed(error)
            return None
        return of_streams(unread.items(), self._signal_limits)

    def _redis_failed(self, error: Exception) -> None:
        if self._redis_is_up:
            log.warning("circuits are not known: redis is away", extra={"error": error_text(error)})
        self._redis_is_up = False
