"""Who is told of what, how, and how urgently: a table, and the pure step from an event's facts to messages.

Invariant: the same fact and contacts give the same messages, so that planning an event again changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notification.planning.quiet_hours import QuietHours

SMS, EMAIL, WEBHOOK = "sms", "email", "webhook"
CUSTOMER, MERCHANT, PARTNER, OPS = "customer", "merchant", "partner", "ops"
# What is told of an outage, to ops and to the merchants who asked for it: about an alert, in the place of a delivery.
ALERT_RAISED, ALERT_OVER, OUTAGE_BEGAN, OUTAGE_OVER = "alert_raised", "alert_over", "outage_began", "outage_over"
# Lower is sent first: what ops must know does not wait behind what an outage has kept from customers.
FIRST, URGENT, NORMAL, BULK = -1, 0, 1, 2
# No states of a delivery: what a merchant is told of its webhook, a partner of a hand-over that was none, and a
# merchant's system of one that was at another time or elsewhere.
WEBHOOK_DISABLED, TAKEN_BACK, CORRECTED = "webhook_disabled", "taken_back", "corrected"


@dataclass(frozen=True, slots=True)
class Rule:
    """Of `status`, `audience` is told over `channels`.

    What is urgent is sent in quiet hours too. What is digestible is told of together when it comes in bursts. After
    `useful_for` it is not sent any more.
    """

    status: str
    audience: str
    channels: tuple[str, ...]
    priority: int = NORMAL
    digestible: bool = False
    useful_for: timedelta = timedelta(days=1)


_SOON = timedelta(hours=4)
_STATUSES = (
    "created", "assigned", "picked_up", "out_for_delivery", "delivered", "attempt_failed", "returning", "returned",
    "cancelled", CORRECTED,
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    Rule("created", CUSTOMER, (EMAIL,)),
    Rule("out_for_delivery", CUSTOMER, (SMS, EMAIL), URGENT, useful_for=_SOON),
    Rule("delivered", CUSTOMER, (SMS, EMAIL)),
    Rule("attempt_failed", CUSTOMER, (SMS, EMAIL), URGENT),
    Rule("cancelled", CUSTOMER, (SMS, EMAIL)),
    Rule("attempt_failed", MERCHANT, (EMAIL,), digestible=True),
    Rule("returned", MERCHANT, (EMAIL,), digestible=True),
    Rule(WEBHOOK_DISABLED, MERCHANT, (EMAIL,), URGENT),
    Rule("offered", PARTNER, (SMS,), URGENT, useful_for=timedelta(minutes=10)),
    Rule("cancelled", PARTNER, (SMS,), URGENT, useful_for=_SOON),
    Rule(TAKEN_BACK, PARTNER, (SMS,)),
    Rule("returned", OPS, (EMAIL,), BULK, digestible=True),
    Rule(ALERT_RAISED, OPS, (EMAIL, WEBHOOK), FIRST, useful_for=_SOON),
    Rule(ALERT_OVER, OPS, (EMAIL, WEBHOOK), FIRST, useful_for=_SOON),
    Rule(OUTAGE_BEGAN, MERCHANT, (EMAIL, WEBHOOK), URGENT, useful_for=_SOON),
    Rule(OUTAGE_OVER, MERCHANT, (EMAIL, WEBHOOK), URGENT, useful_for=_SOON),
    # A system is told of everything, and sleeps never.
    *(Rule(status, MERCHANT, (WEBHOOK,), URGENT, useful_for=timedelta(days=3)) for status in _STATUSES),
)
STATUSES = frozenset(rule.status for rule in RULES)
_BY_STATUS: Mapping[str, tuple[Rule, ...]] = {
    status: tuple(rule for rule in RULES if rule.status == status) for status in STATUSES
}


@dataclass(frozen=True, slots=True)
class Contact:
    """A recipient as planning knows it. `channels` are those that it has an address for."""

    id: UUID
    audience: str
    merchant_id: UUID | None
    language: str
    quiet_hours: QuietHours
    channels: frozenset[str]
    opted_out: frozenset[str]
    muted_statuses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to a delivery, and what is to be said of it. `variables` hold nothing personal.

    `recorded_at` is set where it may become known long after it happened, and is of use from then on. `occasion` tells
    apart what is told of each time that it happens; 0 where it is told of once.
    """

    delivery_id: UUID
    status: str
    at: datetime
    variables: Mapping[str, str]
    recorded_at: datetime | None = None
    occasion: int = 0


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One message of one recipient, delivery, status and channel."""

    recipient: Contact
    fact: Fact
    channel: str
    priority: int
    digestible: bool
    send_after: datetime
    expires_at: datetime

    @property
    def status(self) -> str:
        """What it tells of, with the occasion where that is one of several."""
        return f"{self.fact.status}:{self.fact.occasion}" if self.fact.occasion else self.fact.status


def wants(status: str, audience: str) -> bool:
    """Whether any rule tells this audience of this status."""
    return any(rule.audience == audience for rule in _BY_STATUS.get(status, ()))


def plan(fact: Fact, contacts: Iterable[Contact], now: datetime) -> Iterator[PlannedMessage]:
    """Yield what the contacts are told of the fact, and from when on. What comes too late to be of use is left out."""
    by_audience = {contact.audience: contact for contact in contacts}
    for rule in _BY_STATUS.get(fact.status, ()):
        contact = by_audience.get(rule.audience)
        expires_at = (fact.recorded_at or fact.at) + rule.useful_for
        if contact is None or fact.status in contact.muted_statuses or expires_at <= now:
            continue
        send_after = now if rule.priority <= URGENT else contact.quiet_hours.next_allowed(now)
        for channel in rule.channels:
            if channel in contact.channels and channel not in contact.opted_out:
                # What waits for the morning is of use in the morning.
                until = expires_at if send_after == now else max(expires_at, send_after + rule.useful_for)
                yield PlannedMessage(contact, fact, channel, rule.priority, rule.digestible, send_after, until)
