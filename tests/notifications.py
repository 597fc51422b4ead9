"""The notification service for tests: events as assignment publishes them, a planner, senders, and what is stored."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from lastmile.assignment.v1 import city_pb2, delivery_pb2, merchant_pb2
from lastmile.events.v1 import event_pb2

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from libs.privacy.sealed_mail import Opener, Sealer
from libs.privacy.vault import Vault
from libs.streams.codec import Event, decode
from services.assignment.deliveries.codec import customer_from, sealed_customer
from services.assignment.events import event_text, timestamp
from services.notification.handlers.planner import NotificationPlanner
from services.notification.planning.limits import PlanLimits
from services.notification.planning.planner import Planner
from services.notification.sending.carriers import Carrier
from services.notification.sending.outcomes import RetryLimits
from services.notification.sending.sender import Sender, SendLimits
from services.notification.sending.sweeper import Sweeper, SweepLimits
from services.notification.sending.waiting import Writer
from services.notification.templates.book import TemplateBook
from services.notification.templates.rendering import RenderLimits

# The tests run at any hour of the day.
NO_QUIET_HOURS = PlanLimits(quiet_from_min=0, quiet_until_min=0)
QUICK = SendLimits(poll_s=0.02, lease_margin_s=0.2, look_up_after_s=0.0, outage_wait_s=0.05)
QUICK_RETRY = RetryLimits(delays_s=(0.05, 0.05), not_asked_s=0.05)
QUICK_SWEEP = SweepLimits(every_s=0.05, look_again_s=0.1)


def phone_number() -> str:
    """A mobile number of a test's own."""
    return f"+9198{uuid.uuid4().int % 100_000_000:08}"


@dataclass(slots=True)
class Story:
    """A delivery and what happens to it, as events."""

    sealer: Sealer
    merchant_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    merchant_name: str = "Chai & Co"
    city_code: str = field(default_factory=lambda: f"T{uuid.uuid4().hex[:10].upper()}")
    delivery_id: str = field(default_factory=lambda: str(new_id()))
    _sequence: int = 0

    def prologue(self) -> list[Event]:
        """The city is opened and the merchant registered."""
        city = city_pb2.City(code=self.city_code, name="Bengaluru", time_zone="Asia/Kolkata")
        merchant = merchant_pb2.Merchant(id=self.merchant_id, name=self.merchant_name)
        opened = event_pb2.Event(city_changed=event_pb2.CityChanged(city=city))
        registered = event_pb2.Event(merchant_created=event_pb2.MerchantCreated(merchant=merchant))
        return [
            self._event(opened, f"cities/{self.city_code}"),
            self._event(registered, f"merchants/{self.merchant_id}"),
        ]

    def created(self, phone: str = "", email: str = "", name: str = "Asha Rao", language: str = "") -> Event:
        """It is created, with a contact if there is any."""
        now = datetime.now(UTC)
        delivery = delivery_pb2.Delivery(id=self.delivery_id, created_at=timestamp(now))
        delivery.details.merchant_id, delivery.details.city_code = self.merchant_id, self.city_code
        delivery.details.merchant_reference = "ORDER-1042"
        delivery.details.drop_window.start.CopyFrom(timestamp(now))
        delivery.details.drop_window.end.CopyFrom(timestamp(now + timedelta(hours=2)))
        made = event_pb2.Event(delivery_created=event_pb2.DeliveryCreated(delivery=delivery))
        if phone or email:
            contact = customer_from(
                delivery_pb2.CustomerContact(name=name, phone=phone, email=email, language=language), []
            )
            made.delivery_created.sealed_customer = sealed_customer(contact, self.sealer, uuid.UUID(self.delivery_id))
        return self._event(made, f"deliveries/{self.delivery_id}")

    def became(
        self, state: str, reason: str = "", partner_id: str = "", before: str = "unspecified",
        happened_ago: timedelta = timedelta(),
    ) -> Event:  # fmt: skip
        """It moves on."""
        change = delivery_pb2.DeliveryChange(
            from_state=delivery_pb2.DeliveryState.Value(f"DELIVERY_STATE_{before.upper()}"),
            to_state=delivery_pb2.DeliveryState.Value(f"DELIVERY_STATE_{state.upper()}"),
            sequence=self._sequence + 1,
            reason=reason,
            partner_id=partner_id,
            occurred_at=timestamp(datetime.now(UTC) - happened_ago),
            recorded_at=timestamp(datetime.now(UTC)),
        )
        moved = event_pb2.DeliveryStateChanged(delivery_id=self.delivery_id, change=change)
        return self._event(event_pb2.Event(delivery_state_changed=moved), f"deliveries/{self.delivery_id}")

    def next_delivery(self) -> "Story":
        """Another delivery of the same merchant."""
        return Story(self.sealer, self.merchant_id, self.merchant_name, self.city_code)

    def _event(self, message: event_pb2.Event, subject: str) -> Event:
        self._sequence += 1
        text = event_text(
            message, subject=subject, city_code=self.city_code, sequence=self._sequence, at=datetime.now(UTC),
            merchant_id=self.merchant_id,
        )  # fmt: skip
        return decode("test", f"{self._sequence}-0", text.encode())


@dataclass(slots=True)
class Notifications:
    """A planner and what senders need, on the real database."""

    primary: asyncpg.Pool
    vault: Vault
    opener: Opener
    sealer: Sealer
    book: TemplateBook = field(default_factory=TemplateBook)

    def story(self) -> Story:
        """A delivery of a merchant and a city of its own."""
        return Story(self.sealer)

    async def plan(self, *events: Event, limits: PlanLimits = NO_QUIET_HOURS) -> None:
        """Have the planner handle a batch."""
        await NotificationPlanner(self.primary, Planner(self.vault, limits), self.opener).handle(events)

    async def messages(self, story: Story) -> list[dict[str, Any]]:
        """What is planned or sent of a delivery, in the order of planning."""
        rows = await self.primary.fetch(
            "SELECT * FROM notification.messages WHERE delivery_id = $1 ORDER BY id", uuid.UUID(story.delivery_id)
        )
        return [dict(row) for row in rows]

    async def states(self, story: Story) -> dict[tuple[str, str], str]:
        """The states of a delivery's messages by status and channel."""
        return {(row["status"], row["channel"]): row["state"] for row in await self.messages(story)}

    async def attempts(self, story: Story) -> list[dict[str, Any]]:
        """Every attempt to send a delivery's messages."""
        rows = await self.primary.fetch(
            "SELECT a.* FROM notification.attempts a JOIN notification.messages m ON m.id = a.message_id "
            "WHERE m.delivery_id = $1 ORDER BY a.id",
            uuid.UUID(story.delivery_id),
        )
        return [dict(row) for row in rows]

    def sender(
        self, routes: Mapping[str, Sequence[Carrier]], limits: SendLimits = QUICK, retry: RetryLimits = QUICK_RETRY
    ) -> Sender:
        """A sender of its own."""
        return Sender(self.primary, routes, Writer(self.vault, self.book, RenderLimits()), limits, retry, retry)

    def sweeper(self, *carriers: Carrier, limits: SweepLimits = QUICK_SWEEP) -> Sweeper:
        """Somebody who looks after what is left behind."""
        return Sweeper(self.primary, {carrier.name: carrier for carrier in carriers}, self.vault, limits)


@asynccontextmanager
async def notifications_on(servers: EmbeddedServers) -> AsyncIterator[Notifications]:
    """Work on these servers as the service's workers do."""
    known = servers.service_environment
    async with await create_pool(servers.dsn("notification_worker"), PoolLimits(connections_max=8), "test") as primary:
        yield Notifications(
            primary,
            Vault.read(Path(known["LASTMILE_NOTIFICATION_VAULT_FILE"])),
            Opener(Path(known["LASTMILE_CONTACT_PRIVATE_KEY_FILE"])),
            Sealer(Path(known["LASTMILE_CONTACT_PUBLIC_KEY_FILE"])),
        )


@asynccontextmanager
async def sending(sender: Sender) -> AsyncIterator[None]:
    """A sender that runs, and is drained at the end."""
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running
