"""Plans notifications from events: who is told of what, over which channel, and when."""

from collections.abc import Sequence
from typing import ClassVar

import asyncpg

from libs.postgres.outages import CONNECTION_LOST
from libs.postgres.seen import unseen
from libs.privacy.sealed_mail import Opener
from libs.streams.codec import Event
from libs.streams.handler import TryLaterError
from services.notification.planning.codec import learnt_from
from services.notification.planning.planner import Planner


class NotificationPlanner:
    """Plans what customers, merchants, partners and ops are told of deliveries."""

    name: ClassVar[str] = "notification_planner"
    types: ClassVar[frozenset[str]] = frozenset(
        {
            "lastmile.city.changed.v1",
            "lastmile.merchant.created.v1",
            "lastmile.delivery.created.v1",
            "lastmile.delivery.state_changed.v1",
        }
    )

    def __init__(self, primary: asyncpg.Pool, planner: Planner, opener: Opener) -> None:
        self._primary = primary
        self._planner = planner
        self._opener = opener

    async def handle(self, batch: Sequence[Event]) -> None:
        """Plan the messages of all events that were not seen before, in one transaction."""
        try:
            async with self._primary.acquire() as connection, connection.transaction():
                fresh = await unseen(connection, "notification", self.name, [event.id for event in batch])
                events = [event.message for event in batch if event.id in fresh]
                await self._planner.take(connection, learnt_from(events, self._opener))
        except CONNECTION_LOST as error:
            raise TryLaterError(f"the database does not answer: {error}") from error
