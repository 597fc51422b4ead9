"""A recipient: who is told, where, and what it wants to hear."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from libs.ids import new_id
from services.notification.planning.limits import PlanLimits
from services.notification.templates.builtin import FALLBACK_LANGUAGE


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a recipient wants to hear, and when: minutes are those of its own day."""

    language: str
    time_zone: str
    quiet_from_min: int
    quiet_until_min: int
    opted_out: tuple[str, ...] = ()
    muted_statuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient as it is kept. `owner_id` is the merchant or partner itself; None for a customer."""

    id: UUID
    audience: str
    merchant_id: UUID | None
    owner_id: UUID | None
    name_sealed: bytes = field(repr=False)
    preferences: Preferences
    version: int
    created_at: datetime
    updated_at: datetime


def owned_by(
    audience: str, owner_id: UUID, merchant_id: UUID | None, name_sealed: bytes, limits: PlanLimits
) -> Recipient:
    """Return a recipient as it begins: with the preferences of whoever has said nothing."""
    now = datetime.now(UTC)
    preferences = Preferences(FALLBACK_LANGUAGE, limits.time_zone, limits.quiet_from_min, limits.quiet_until_min)
    return Recipient(new_id(), audience, merchant_id, owner_id, name_sealed, preferences, 1, now, now)


@dataclass(frozen=True, slots=True)
class KeptAddress:
    """An address as it is kept, and why nothing is sent to it."""

    channel: str
    address_sealed: bytes = field(repr=False)
    suppressed_reason: str


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that nothing is sent to."""

    id: UUID
    channel: str
    address_sealed: bytes = field(repr=False)
    reason: str
    created_at: datetime
