"""What a network tells of an offer, and what it comes to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.assignment.deliveries.lifecycle import TRANSITIONS, Actor, DeliveryState, OfferState
from services.assignment.dispatch.mapping import CallbackMapping, picked

REASON_CHARS_MAX = 200
# An offer ended because its network answered to the call that it takes no such offer.
REFUSED_REASON = "NETWORK_REFUSED"
# The reasons that a network need not give itself.
_REASONS = {"reject": "OFFER_REJECTED", "attempt_failed": "NETWORK_REPORTED", "returning": "NETWORK_REPORTED"}


def reachable(state: DeliveryState) -> frozenset[DeliveryState]:
    """Return the states that a partner may bring a delivery to from `state`, over any number of steps."""
    found: set[DeliveryState] = set()
    waiting = [state]
    while waiting:
        here = waiting.pop()
        after = {row.to_state for row in TRANSITIONS if row.from_state is here and Actor.PARTNER in row.actors}
        new = after - found - {DeliveryState.PENDING}
        found |= new
        waiting += new
    return frozenset(found)


_STATES = {state.value: state for state in reachable(DeliveryState.ASSIGNED)}
# What a mapping may call a network's type.
WORDS = frozenset({"accept", "reject", *_STATES})


class UpdateRefusedError(ValueError):
    """An update that is no update: the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class NetworkUpdate:
    """An answer to an offer, or the state of its delivery. `reason` is empty where none is needed."""

    offer_id: UUID
    to_state: DeliveryState
    is_accept: bool
    is_reject: bool
    reason: str
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an offer of a network and its delivery are.

    `network_at` is the latest time that the network has told of the offer, by its own clock; None before it told any.
    """

    delivery_id: UUID
    partner_id: UUID
    offer_state: OfferState
    state: DeliveryState
    state_at: datetime
    version: int
    network_at: datetime | None


class Outcome(StrEnum):
    """What an update came to. Only TOO_EARLY is worth sending again."""

    DONE = "done"
    # It is so already, or was before something later.
    ALREADY = "already"
    # It will never be so: the offer has ended, another partner has the delivery.
    REFUSED = "refused"
    # Something that the network has not told yet comes first.
    TOO_EARLY = "too_early"
    # Of no type that means anything here.
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network is told of its update: the outcome, why, and the state of the offer by now where it is known."""

    outcome: Outcome
    reason: str = ""
    offer_state: str = ""


def update_of(body: Any, mapping: CallbackMapping) -> NetworkUpdate | None:
    """Return what a body says; None for a type without meaning here. Raises UpdateRefusedError."""
    kind = picked(body, mapping.type)
    if not isinstance(kind, str):
        raise UpdateRefusedError(f"{mapping.type}: says no type")
    word = mapping.types.get(kind)
    if word is None:
        return None
    try:
        offer_id = UUID(str(picked(body, mapping.offer_id)))
    except ValueError:
        raise UpdateRefusedError(f"{mapping.offer_id}: is no offer of ours") from None
    reason = picked(body, mapping.reason)
    reason = _printable(reason)[:REASON_CHARS_MAX] if isinstance(reason, str) else ""
    state = {"accept": DeliveryState.ASSIGNED, "reject": DeliveryState.PENDING}.get(word) or _STATES[word]
    return NetworkUpdate(
        offer_id,
        state,
        is_accept=word == "accept",
        is_reject=word == "reject",
        reason=reason or _REASONS.get(word, ""),
        occurred_at=_time_of(body, mapping),
    )


def is_stale(update: NetworkUpdate, standing: Standing) -> bool:
    """Whether an update tells where the delivery was before it came to where it is.

    Only the network's own times tell that, and only of states that come again: anywhere else a step can only be the
    next one, whatever the clocks say.
    """
    if update.occurred_at is None or standing.network_at is None or not _comes_again(update, standing.state):
        return False
    return update.occurred_at < standing.network_at


def judged(update: NetworkUpdate, standing: Standing) -> Answer:
    """Return what an update comes to that no transition was made for, by where the delivery and the offer are now.

    The offer's own state comes first: what has ended for this offer is over, wherever the delivery went since.
    """
    offer_state = standing.offer_state
    said = offer_state.value
    if update.is_accept:
        held = offer_state in (OfferState.ACCEPTED, OfferState.COMPLETED)
        return Answer(Outcome.ALREADY if held else Outcome.REFUSED, "" if held else "OFFER_ENDED", said)
    if update.is_reject:
        over = offer_state not in (OfferState.OPEN, OfferState.ACCEPTED, OfferState.COMPLETED)
        return Answer(Outcome.ALREADY if over else Outcome.REFUSED, "" if over else "PARCEL_WITH_PARTNER", said)
    if offer_state is not OfferState.ACCEPTED:
        return _OF_STATUS.get(offer_state, Answer(Outcome.REFUSED, "OFFER_ENDED", said))
    return Answer(_judged_status(update, standing), "", said)


_OF_STATUS = {
    OfferState.COMPLETED: Answer(Outcome.ALREADY, "", OfferState.COMPLETED.value),
    OfferState.OPEN: Answer(Outcome.TOO_EARLY, "OFFER_NOT_ACCEPTED", OfferState.OPEN.value),
}


def _judged_status(update: NetworkUpdate, standing: Standing) -> Outcome:
    state, at, network_at = standing.state, update.occurred_at, standing.network_at
    if is_stale(update, standing):
        return Outcome.ALREADY
    if update.to_state is state:
        # The same state at a later time: what lies between has not come yet.
        later = at is not None and network_at is not None and at > network_at
        return Outcome.TOO_EARLY if later and _comes_again(update, state) else Outcome.ALREADY
    if update.to_state in reachable(state):
        return Outcome.TOO_EARLY
    return Outcome.ALREADY if _comes_again(update, state) else Outcome.REFUSED


def _comes_again(update: NetworkUpdate, state: DeliveryState) -> bool:
    """Whether a delivery that is in `state` may have been where the update says before."""
    return state in reachable(update.to_state)


def _time_of(body: Mapping[str, Any], mapping: CallbackMapping) -> datetime | None:
    text = picked(body, mapping.occurred_at)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UpdateRefusedError(f"{mapping.occurred_at}: is no time with its zone")
    return at


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
