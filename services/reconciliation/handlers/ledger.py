"""Books what deliveries earn, from the events of deliveries and of the partners who carry them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

import asyncpg

from libs.postgres.errors import UNREACHABLE
from libs.postgres.seen import unseen
from libs.streams.codec import Event
from libs.streams.handler import TryLaterError
from services.reconciliation import metrics
from services.reconciliation.deliveries import store
from services.reconciliation.deliveries.codec import changes_in, versions_in
from services.reconciliation.ledger.bookkeeper import book

SCHEMA = "reconciliation"


class Ledger:
    """Pays each delivery once it was handed over, and undoes that once when it is cancelled after all."""

    name: ClassVar[str] = "reconciliation_ledger"
    types: ClassVar[frozenset[str]] = frozenset(
        {
            "lastmile.delivery.created.v1",
            "lastmile.delivery.state_changed.v1",
            "lastmile.partner.changed.v1",
        }
    )

    def __init__(self, primary: asyncpg.Pool) -> None:
        self._primary = primary

    async def handle(self, batch: Sequence[Event]) -> None:
        """Keep what the events tell, and book what is due by it, in one transaction."""
        try:
            outcomes = await self._book(batch)
        except UNREACHABLE as error:
            raise TryLaterError(str(error)) from error
        metrics.count(outcomes)

    async def _book(self, batch: Sequence[Event]) -> Counter[str]:
        async with self._primary.acquire() as connection, connection.transaction():
            fresh = await unseen(connection, SCHEMA, self.name, [event.id for event in batch])
            told = [event.message for event in batch if event.id in fresh]
            if not told:
                return Counter()
            changes = changes_in(told)
            delivery_ids = sorted({change.delivery_id for change in changes})
            await store.lock(connection, delivery_ids)
            await store.add_changes(connection, changes)
            await store.add_versions(connection, versions_in(told))
            return await book(connection, delivery_ids, datetime.now(UTC))
