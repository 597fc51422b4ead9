"""Counts whom outages of partner networks affect: their partners, and the offers that are taken back from them."""

from collections.abc import Sequence
from typing import ClassVar

import asyncpg

from libs.postgres.outages import CONNECTION_LOST
from libs.streams.codec import Event
from libs.streams.handler import TryLaterError
from services.notification.alerts.learning import store
from services.notification.alerts.learning.codec import learnt_from


class OutageFacts:
    """Learns whom an outage of a partner network affects. Learning the same again changes nothing."""

    name: ClassVar[str] = "notification_outage_facts"
    types: ClassVar[frozenset[str]] = frozenset({"lastmile.partner.changed.v1", "lastmile.delivery.state_changed.v1"})

    def __init__(self, primary: asyncpg.Pool) -> None:
        self._primary = primary

    async def handle(self, batch: Sequence[Event]) -> None:
        """Store what the events tell, in one transaction."""
        facts = learnt_from(event.message for event in batch)
        if not (facts.partners or facts.withdrawals or facts.matches):
            return
        try:
            async with self._primary.acquire() as connection, connection.transaction():
                if facts.partners:
                    await store.set_partners(connection, facts.partners.values())
                if facts.withdrawals:
                    await store.add_withdrawals(connection, facts.withdrawals)
                if facts.matches:
                    await store.matched(connection, facts.matches.values())
        except CONNECTION_LOST as error:
            raise TryLaterError(f"the database does not answer: {error}") from error
