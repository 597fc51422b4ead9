"""Forgets what is older than it is kept: words, addresses and names of customers go with it."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.ids import floor_at
from libs.postgres.errors import UNREACHABLE
from libs.postgres.seen import forget_seen
from libs.telemetry import error_text
from services.notification import metrics
from services.notification.retention import store

log = logging.getLogger("notification")

_BEGINNING = UUID(int=0)
# In this order: each is kept while something of what comes before tells of it.
_STEPS = (
    ("messages", store.forget_messages), ("deliveries", store.forget_deliveries), ("customers", store.forget_customers),
)  # fmt: skip


class RetentionLimits(BaseModel):
    """How long things are kept, and how gently they are forgotten."""

    model_config = ConfigDict(frozen=True)

    kept_days: int = Field(
        90, gt=0, description="Messages are kept for this long after anything last happened to them; so are customers"
    )
    seen_events_days: int = Field(
        30, ge=8, description="It is known of an event that its effect is taken for this long; streams keep less"
    )
    every_s: float = Field(3_600.0, gt=0, description="Time between rounds of forgetting")
    rows_max: int = Field(500, ge=1, description="Rows that one transaction looks at")
    pause_ms: int = Field(50, ge=0, description="Time between transactions: what is sent comes first")


class Keeper:
    """One among any number, of whom one at a time forgets."""

    def __init__(self, primary: asyncpg.Pool, limits: RetentionLimits, consumers: Sequence[str] = ()) -> None:
        """`consumers` are those whose seen events are forgotten too."""
        self._primary = primary
        self._consumers = consumers
        self._limits = limits

    async def run(self, stop: asyncio.Event) -> None:
        """Forget now and then until `stop` is set."""
        while not stop.is_set():
            try:
                await self.forget(datetime.now(UTC), stop)
            except (*UNREACHABLE, asyncpg.PostgresError) as error:
                # Whatever it was, such as a statement that took too long: it must not end the sender.
                log.warning("nothing is forgotten", extra={"error": error_text(error)})
            await _wait(stop, self._limits.every_s)

    async def forget(self, now: datetime, stop: asyncio.Event) -> None:
        """Forget everything that is too old, a few rows at a time; end early when `stop` is set."""
        before = now - timedelta(days=self._limits.kept_days)
        for what, step in _STEPS:
            last_id: UUID | None = _BEGINNING
            while last_id is not None and not stop.is_set():
                async with self._primary.acquire() as connection, connection.transaction():
                    if not await store.alone(connection):
                        return
                    last_id, gone = await step(connection, last_id, floor_at(before), before, self._limits.rows_max)
                metrics.FORGOTTEN.labels(what).inc(gone)
                await _wait(stop, self._limits.pause_ms / 1000)
        gone = self._limits.rows_max
        while gone == self._limits.rows_max and not stop.is_set():
            async with self._primary.acquire() as connection, connection.transaction():
                gone = await store.forget_inbox(connection, before, self._limits.rows_max)
            metrics.FORGOTTEN.labels("inbox").inc(gone)
        for consumer in self._consumers:
            async with self._primary.acquire() as connection:
                await forget_seen(
                    connection, "notification", consumer, now - timedelta(days=self._limits.seen_events_days)
                )


async def _wait(stop: asyncio.Event, wait_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), wait_s)
