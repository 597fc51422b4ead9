"""Looks after what senders leave behind: attempts of those who died, and outcomes that nobody knows yet."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.postgres.errors import UNREACHABLE
from libs.privacy.vault import TamperedError, Vault, VaultKeyError
from libs.telemetry import error_text
from services.notification import metrics
from services.notification.providers.outgoing import Outgoing, Sought
from services.notification.receipts import store as receipts
from services.notification.recipients import places
from services.notification.sending import store
from services.notification.sending.carriers import Carrier
from services.notification.sending.outcomes import AttemptEnd
from services.notification.sending.waiting import words_from

log = logging.getLogger("notification")


class SweepLimits(BaseModel):
    """How promptly what is lost is found, and how long it is asked about."""

    model_config = ConfigDict(frozen=True)

    every_s: float = Field(2.0, gt=0, description="Time between looks")
    rows_max: int = Field(200, ge=1, description="Attempts that one look takes up")
    asks_at_once_max: int = Field(8, ge=1, description="Attempts that providers are asked about at once")
    look_again_s: float = Field(60.0, gt=0, description="A provider that could not tell is asked again after this")
    receipts_kept_s: float = Field(8 * 86_400, gt=0, description="Receipts are known again for this long")
    sought_for_s: float = Field(86_400, gt=0, description="Then a person has to find out what became of an attempt")


class Sweeper:
    """One among any number."""

    def __init__(
        self, primary: asyncpg.Pool, carriers: Mapping[str, Carrier], vault: Vault, limits: SweepLimits
    ) -> None:
        self._primary = primary
        self._carriers = carriers
        self._vault = vault
        self._limits = limits

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        while not stop.is_set():
            try:
                await self.sweep()
                await self.look_up()
                await self.forget()
            except UNREACHABLE as error:
                log.warning("nothing was looked after", extra={"error": error_text(error)})
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._limits.every_s)

    async def sweep(self) -> None:
        """Call unknown what a dead sender had in hand."""
        async with self._primary.acquire() as connection:
            lost = await store.sweep(connection, datetime.now(UTC), self._limits.rows_max)
        for channel, provider in lost:
            metrics.OUTCOMES.labels(channel, provider, AttemptEnd.UNKNOWN.value).inc()
        if lost:
            log.warning("a sender was lost: nobody knows whether its messages were sent", extra={"count": len(lost)})

    async def look_up(self) -> None:
        """Ask providers what became of attempts."""
        now, limits = datetime.now(UTC), self._limits
        async with self._primary.acquire() as connection:
            rows = await store.take_unknown(
                connection,
                now,
                limits.rows_max,
                timedelta(seconds=limits.sought_for_s),
                now + timedelta(seconds=limits.look_again_s),
            )
        # Of a digest each message has a row: one question is enough.
        asked = {row["id"]: row for row in rows}
        # No more at once than are let through: whoever is turned away would be so each time.
        turns = asyncio.Semaphore(limits.asks_at_once_max)

        async def ask(row: asyncpg.Record) -> None:
            async with turns:
                await self._ask(row)

        await asyncio.gather(*(ask(row) for row in asked.values()))

    async def forget(self) -> None:
        """Forget receipts that could not be replayed any more: they would be refused as stale."""
        before = datetime.now(UTC) - timedelta(seconds=self._limits.receipts_kept_s)
        async with self._primary.acquire() as connection:
            await receipts.forget(connection, before, self._limits.rows_max)

    async def _ask(self, row: asyncpg.Record) -> None:
        carrier = self._carriers.get(row["provider"])
        if carrier is None or row["address_sealed"] is None:
            return
        if carrier.provider.drops_repeats:
            async with self._primary.acquire() as connection:
                await store.repeat(connection, row["id"], datetime.now(UTC))
            return
        try:
            address = self._vault.open(row["address_sealed"], places.ADDRESS)
            words = words_from(self._vault, row["content_sealed"])
        except (TamperedError, VaultKeyError):
            log.exception("what an attempt said does not open", extra={"attempt_id": str(row["id"])})
            return
        outgoing = Outgoing(row["id"], row["message_id"], row["channel"], row["merchant_id"], address, words)
        receipt = await carrier.look_up(Sought(outgoing, row["provider_message_id"], row["started_at"].timestamp()))
        if receipt is None:
            return
        async with self._primary.acquire() as connection:
            moved = await store.receive(connection, carrier.name, receipt, datetime.now(UTC))
        if moved:
            metrics.OUTCOMES.labels(row["channel"], carrier.name, f"found_{receipt.state}").inc(len(moved))
