"""Looks again at deliveries that could not be paid when they were handed over: what was missing may be known by now."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.postgres.errors import UNREACHABLE
from libs.postgres.seen import forget_seen
from libs.telemetry import error_text
from services.reconciliation import metrics
from services.reconciliation.deliveries import store
from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.bookkeeper import book

log = logging.getLogger("reconciliation")


class WaitingLimits(BaseModel):
    """How often deliveries that wait are looked at, and how many at once."""

    model_config = ConfigDict(frozen=True)

    look_every_s: float = Field(5.0, gt=0, description="Time between looks at the deliveries that cannot be paid yet")
    look_deliveries_max: int = Field(500, ge=1, description="Deliveries of one look, those first that waited longest")
    seen_events_days: int = Field(30, ge=8, description="How long it is known of an event that it was seen")


class WaitingDeliveries:
    """Any number of processes may look: each delivery is locked by one, and the others leave it alone."""

    def __init__(self, primary: asyncpg.Pool, schema: str, consumer: str, limits: WaitingLimits) -> None:
        """`consumer` is the one whose seen events are forgotten by age."""
        self._primary = primary
        self._schema = schema
        self._consumer = consumer
        self._limits = limits

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set. A database that is away is waited for."""
        while not stop.is_set():
            try:
                began_at = datetime.now(UTC)
                while await self.look(began_at) and not stop.is_set():
                    pass
                await self._keep_house(began_at)
            except UNREACHABLE as error:
                log.warning("the database does not answer", extra={"error": error_text(error)})
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._limits.look_every_s)

    async def look(self, not_since: datetime) -> int:
        """Book what can be booked by now of those that were not looked at since; return how many entries that made."""
        async with self._primary.acquire() as connection, connection.transaction():
            delivery_ids = await store.lock_waiting(connection, not_since, self._limits.look_deliveries_max)
            outcomes = await book(connection, delivery_ids, datetime.now(UTC))
        metrics.count(outcomes)
        return sum(outcomes[kind.value] for kind in EntryKind)

    async def _keep_house(self, now: datetime) -> None:
        async with self._primary.acquire() as connection:
            metrics.set_waiting(await store.count_waiting(connection))
            before = now - timedelta(days=self._limits.seen_events_days)
            await forget_seen(connection, self._schema, self._consumer, before)
