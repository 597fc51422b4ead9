"""What is to be booked for a delivery, given all that is known and has been booked of it.

The answer depends on what is known and not on how it came to be known, so it may be asked after every event, and any
number of times: a delivery is paid once, a corrected hand-over changes that by the difference, and a cancellation
undoes all of it once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.reconciliation.ledger.earnings import Earnings, earnings_of
from services.reconciliation.ledger.facts import (
    CANCELLED,
    DELIVERED,
    Change,
    PartnerVersion,
    Trip,
    is_whole,
    latest,
    trip_of,
    version_at,
)
from services.reconciliation.ledger.postings import (
    Posting,
    corrected_postings,
    delivery_postings,
    reversed_postings,
)
from services.reconciliation.ledger.rates import RateCard, Scope


class EntryKind(StrEnum):
    """What an entry is for."""

    EARNINGS = "earnings"
    REVERSAL = "reversal"
    CORRECTION = "correction"


class WaitsFor(StrEnum):
    """Why a delivery that was handed over cannot be paid yet."""

    # Some of its changes are still to come.
    EVENTS = "EVENTS_MISSING"
    PARTNER = "PARTNER_UNKNOWN"
    RATE_CARD = "RATE_CARD_MISSING"
    # Its changes are all there and still tell of no trip: somebody has to look.
    STORY = "STORY_UNREADABLE"


@dataclass(frozen=True, slots=True)
class Booked:
    """An entry of a delivery's earnings that is in the ledger, and what others have made of it since.

    `postings` are what all of them come to, `event_ids` what they were worked out from, and `partner_version` is by
    which version of its partner it is paid.
    """

    entry_id: UUID
    postings: tuple[Posting, ...]
    event_ids: frozenset[UUID]
    partner_version: int
    is_reversed: bool


@dataclass(frozen=True, slots=True)
class Pay:
    """Book what a trip earned."""

    trip: Trip
    partner: PartnerVersion
    card: RateCard
    earnings: Earnings
    postings: tuple[Posting, ...]

    @property
    def cause_event_id(self) -> UUID:
        """The event of the hand-over."""
        return self.trip.event_ids[-1]

    @property
    def event_ids(self) -> tuple[UUID, ...]:
        """Every event behind the entry."""
        return (*self.trip.event_ids, self.partner.event_id)


@dataclass(frozen=True, slots=True)
class Correct:
    """Book by what an entry is wrong, now that the hand-over is known to have been another."""

    right: Pay
    entry_id: UUID
    postings: tuple[Posting, ...]

    @property
    def cause_event_id(self) -> UUID:
        """The event of the corrected hand-over."""
        return self.right.cause_event_id


@dataclass(frozen=True, slots=True)
class Undo:
    """Book the reverse of an entry and its corrections, because of a cancellation."""

    cause: Change
    entry_id: UUID
    postings: tuple[Posting, ...]

    @property
    def cause_event_id(self) -> UUID:
        """The event of the cancellation."""
        return self.cause.event_id


@dataclass(frozen=True, slots=True)
class Wait:
    """Book nothing until something else is known."""

    reason: WaitsFor


Decision = Pay | Correct | Undo | Wait | None
CardOf = Callable[[Scope, Trip], RateCard | None]


def decide(
    changes: Sequence[Change], versions: Sequence[PartnerVersion], card_of: CardOf, booked: Booked | None
) -> Decision:
    """Return what is to be booked for the delivery of `changes`; None for nothing.

    `versions` are those of its trip's partner, `card_of` finds the rate card in force at a trip's hand-over, and
    `booked` is the entry of its earnings, if there is one.
    """
    last = latest(changes)
    if last.state == CANCELLED:
        # What undoes an entry needs no more of the story than that.
        is_open = booked is not None and not booked.is_reversed
        return Undo(last, booked.entry_id, reversed_postings(booked.postings)) if booked and is_open else None
    if not is_to_be_priced(last, booked):
        return None
    if not is_whole(changes):
        return Wait(WaitsFor.EVENTS)
    trip = trip_of(changes)
    if trip is None:
        return Wait(WaitsFor.STORY)
    if booked is None:
        return pay(trip, version_at(versions, trip.priced_at), card_of)
    return _correct(trip, booked, versions, card_of)


def _correct(trip: Trip, booked: Booked, versions: Sequence[PartnerVersion], card_of: CardOf) -> Correct | Wait:
    """Return by what an entry is wrong. That may be nothing, and is booked too: it says that it is known."""
    right = pay(trip, next((v for v in versions if v.version == booked.partner_version), None), card_of)
    if isinstance(right, Wait):
        return right
    return Correct(right, booked.entry_id, corrected_postings(booked.postings, right.postings))


def is_to_be_priced(last: Change, booked: Booked | None) -> bool:
    """Return whether the last change of a delivery is a hand-over that nothing was worked out from yet."""
    if booked is not None and (booked.is_reversed or last.event_id in booked.event_ids):
        return False
    return last.state == DELIVERED


def pay(trip: Trip, partner: PartnerVersion | None, card_of: CardOf) -> Pay | Wait:
    """Return what a trip is paid, or what is missing to know it."""
    if partner is None:
        return Wait(WaitsFor.PARTNER)
    card = card_of(Scope(trip.city_code, partner.vehicle, partner.network_code), trip)
    if card is None:
        return Wait(WaitsFor.RATE_CARD)
    earnings = earnings_of(trip, card.terms)
    return Pay(trip, partner, card, earnings, delivery_postings(trip, partner.network_code, earnings))
