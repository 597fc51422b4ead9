"""What the planner takes from events, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.notification.planning.rules import Fact


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """How a delivery's customer is reached. `addresses` by channel, each spelled in its one way."""

    name: str
    language: str
    addresses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What is kept of a delivery to write about it."""

    id: UUID
    merchant_id: UUID
    city_code: str
    reference: str
    drop_from: datetime
    drop_until: datetime
    customer: NewCustomer | None


@dataclass(frozen=True, slots=True)
class Happening:
    """A delivery's new state. `partner_id` is whom it was offered to or taken from; None where none is concerned."""

    fact: Fact
    partner_id: UUID | None


@dataclass(slots=True)
class Learnt:
    """All that a batch of events tells, the later of one thing replacing the earlier."""

    merchants: dict[UUID, str] = field(default_factory=dict)
    # By code: the name and the time zone.
    cities: dict[str, tuple[str, str]] = field(default_factory=dict)
    deliveries: dict[UUID, NewDelivery] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
