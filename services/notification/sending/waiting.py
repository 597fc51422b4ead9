"""A message that waits, as the sender takes it up; whether it is sent, and in which words: pure but for the vault."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from libs.privacy.vault import Vault
from services.notification.messages.lifecycle import MessageState
from services.notification.planning.quiet_hours import QuietHours
from services.notification.planning.rules import ALERT_OVER, ALERT_RAISED, OUTAGE_BEGAN, OUTAGE_OVER, URGENT, WEBHOOK
from services.notification.recipients import places
from services.notification.templates.book import TemplateBook
from services.notification.templates.builtin import Use
from services.notification.templates.language import DIGEST, TemplateTextError
from services.notification.templates.rendering import RenderLimits, Words, render

# Who sends, where the planner has not learnt the merchant's name.
_SOMEBODY = "Lastmile"
# Statuses that tell of an outage, as webhooks call them, and what they call it.
_OUTAGES = {
    OUTAGE_BEGAN: ("outage.began", "outageId"), OUTAGE_OVER: ("outage.over", "outageId"),
    ALERT_RAISED: ("alert.raised", "alertId"), ALERT_OVER: ("alert.over", "alertId"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is planned and due, with all that sending it needs."""

    id: UUID
    recipient_id: UUID
    delivery_id: UUID
    merchant_id: UUID | None
    status: str
    audience: str
    channel: str
    language: str
    variables: Mapping[str, str]
    priority: int
    planned_at: datetime
    expires_at: datetime
    rounds: int
    refused_by: frozenset[str]
    requested_by: str
    time_zone: str
    quiet_from_min: int
    quiet_until_min: int
    opted_out: bool
    suppressed_reason: str | None
    merchant_name: str | None
    city_name: str | None
    name_sealed: bytes = field(repr=False)
    address_sealed: bytes | None = field(repr=False)
    # Of a merchant's webhook.
    is_disabled: bool = False
    secret_sealed: bytes | None = field(default=None, repr=False)
    previous_sealed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unsent:
    """Why a message is not sent at all."""

    state: MessageState
    reason: str


def unsent(waiting: Waiting, now: datetime) -> Unsent | None:
    """Return why a message is not sent, or None for one that is. Asked at the last moment, not when it is planned."""
    if waiting.suppressed_reason is not None:
        return Unsent(MessageState.SUPPRESSED, waiting.suppressed_reason)
    if waiting.opted_out:
        return Unsent(MessageState.SUPPRESSED, "OPTED_OUT")
    if waiting.is_disabled:
        return Unsent(MessageState.SUPPRESSED, "WEBHOOK_DISABLED")
    if waiting.address_sealed is None:
        return Unsent(MessageState.FAILED, "NO_ADDRESS")
    if waiting.expires_at <= now:
        return Unsent(MessageState.FAILED, "TOO_LATE")
    return None


def quiet_until(waiting: Waiting, now: datetime) -> datetime | None:
    """Return when the quiet hours end that a message waits for, or None for one that does not wait.

    Asked at the last moment too: what was planned for the day may have waited until the night.
    """
    if waiting.priority <= URGENT or waiting.requested_by:
        return None
    until = QuietHours(waiting.time_zone, waiting.quiet_from_min, waiting.quiet_until_min).next_allowed(now)
    return until if until > now else None


@dataclass(frozen=True, slots=True)
class Writer:
    """Finds the words of messages."""

    vault: Vault
    book: TemplateBook
    limits: RenderLimits

    def address_of(self, waiting: Waiting) -> str:
        """Return where a message goes."""
        if waiting.address_sealed is None:
            raise ValueError(f"message {waiting.id} has no address")
        return self.vault.open(waiting.address_sealed, places.ADDRESS)

    def words_of(self, together: Sequence[Waiting]) -> Words:
        """Return the words of a message, or of several to one recipient. Raises TemplateTextError for none."""
        first = together[0]
        if first.channel == WEBHOOK:
            return Words("", _payload(first))
        status = first.status if len(together) == 1 else DIGEST
        texts = self.book.find(first.merchant_id, Use(status, first.audience, first.channel, first.language))
        if texts is None:
            raise TemplateTextError(f"nobody has a template for {status} to {first.audience} by {first.channel}")
        recipient = {"recipient_name": self.vault.open(first.name_sealed, places.NAME)}
        if status == DIGEST:
            listed = together[: self.limits.digest_items_max]
            values = {
                "count": len(together), "more": len(together) - len(listed),
                "items": [_said(waiting) for waiting in listed],
            }  # fmt: skip
            return render(texts, first.channel, recipient | values, self.limits)
        names = {"merchant_name": first.merchant_name or _SOMEBODY, "city_name": first.city_name or ""}
        return render(texts, first.channel, recipient | names | _said(first), self.limits)

    def secrets_of(self, waiting: Waiting) -> tuple[str, ...]:
        """Return what a webhook is signed with: its secret, and the one before while that is good."""
        kept = (waiting.secret_sealed, waiting.previous_sealed)
        return tuple(self.vault.open(sealed, places.WEBHOOK_SECRET) for sealed in kept if sealed)

    def sealed(self, words: Words) -> bytes:
        """Return words as they are kept."""
        return self.vault.seal(json.dumps({"subject": words.subject, "body": words.body}), places.CONTENT)


def words_from(vault: Vault, sealed: bytes) -> Words:
    """Return words that were kept."""
    return Words(**json.loads(vault.open(sealed, places.CONTENT)))


def _payload(waiting: Waiting) -> str:
    known = waiting.variables
    if waiting.status in _OUTAGES:
        # Of no single delivery: the alert has the delivery's place.
        kind, id_name = _OUTAGES[waiting.status]
        news = {id_name: str(waiting.delivery_id), "title": known["reference"], "text": known["reason"]}
        return json.dumps({"type": kind, "timestamp": known["at"], "data": news})
    status = waiting.status.partition(":")[0]
    data = {
        "deliveryId": str(waiting.delivery_id),
        "merchantReference": known["reference"],
        "status": status,
        "reason": known.get("reason", ""),
        "occurredAt": known["at"],
    }
    # What is put right is news of the moment when it was, whatever it says of the time before.
    return json.dumps({"type": f"delivery.{status}", "timestamp": known.get("recorded_at", known["at"]), "data": data})


def _said(waiting: Waiting) -> dict[str, str]:
    zone, known = ZoneInfo(waiting.time_zone), waiting.variables

    def local(name: str) -> datetime:
        return datetime.fromisoformat(known[name]).astimezone(zone)

    return {
        "reference": known["reference"],
        "status": waiting.status,
        "reason": known.get("reason", ""),
        "drop_date": f"{local('drop_until'):%d %b}",
        "drop_from": f"{local('drop_from'):%H:%M}",
        "drop_until": f"{local('drop_until'):%H:%M}",
        "time": f"{local('at'):%H:%M}",
    }
