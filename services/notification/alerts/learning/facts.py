"""What is taken from events to say whom an outage of a partner network affects, as plain values: pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class NetworkPartner:
    """Which network lends a partner; an empty code for none."""

    partner_id: UUID
    network_code: str
    version: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An offer that was taken back because its partner's network was down."""

    offer_id: UUID
    delivery_id: UUID
    partner_id: UUID
    merchant_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Match:
    """A delivery was offered or assigned to somebody."""

    delivery_id: UUID
    at: datetime


@dataclass(slots=True)
class Facts:
    """All that a batch of events tells."""

    partners: dict[UUID, NetworkPartner] = field(default_factory=dict)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    # The last one of each delivery.
    matches: dict[UUID, Match] = field(default_factory=dict)


def facts_of(told: Iterable[NetworkPartner | Withdrawal | Match]) -> Facts:
    """Return what is told, the later of one thing replacing the earlier."""
    facts = Facts()
    for one in told:
        if isinstance(one, NetworkPartner):
            known = facts.partners.get(one.partner_id)
            if known is None or known.version < one.version:
                facts.partners[one.partner_id] = one
        elif isinstance(one, Withdrawal):
            facts.withdrawals.append(one)
        else:
            facts.matches[one.delivery_id] = one
    return facts
