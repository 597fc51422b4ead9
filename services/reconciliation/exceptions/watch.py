"""Watches the desk: how old its cases are, as metrics; and forgets idempotency keys by age."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg

from libs.postgres.errors import UNREACHABLE
from libs.telemetry import error_text
from services.reconciliation.exceptions import metrics, store
from services.reconciliation.exceptions.limits import WatchLimits
from services.reconciliation.exceptions.repeats import store as repeats

log = logging.getLogger("exceptions")


class Watch:
    """Any number of processes may watch: each says the same."""

    def __init__(self, primary: asyncpg.Pool, limits: WatchLimits) -> None:
        self._primary, self._limits = primary, limits

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set. A database that is away is waited for."""
        while not stop.is_set():
            try:
                await self.look(datetime.now(UTC))
            except UNREACHABLE as error:
                log.warning("the database does not answer", extra={"error": error_text(error)})
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._limits.look_every_s)

    async def look(self, now: datetime) -> None:
        """Say how old cases are, and forget what is old of keys."""
        limits = self._limits
        async with self._primary.acquire() as connection:
            metrics.set_ages(await store.ages(connection, now, limits.age_days))
            before = now - timedelta(days=limits.idempotency_key_days)
            await repeats.forget(connection, before, limits.keys_forgotten_at_once_max)
