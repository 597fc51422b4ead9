"""The lifecycle of a delivery: a table of states and transitions, with who may make each and what it does to the offer.

Invariants: every state is reachable from PENDING; DELIVERED, RETURNED and CANCELLED are the end, from which ops alone
may go on, to put right that something was delivered, or when and where; a delivery holds its partner's capacity from
the offer or match until a transition whose `offer_becomes` ends the offer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery is in its life."""

    PENDING = "pending"
    OFFERED = "offered"
    ASSIGNED = "assigned"
    PICKED_UP = "picked_up"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    ATTEMPT_FAILED = "attempt_failed"
    RETURNING = "returning"
    RETURNED = "returned"
    CANCELLED = "cancelled"


class OfferState(StrEnum):
    """Where an offer is in its life; open and accepted ones hold their partner's capacity."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    COMPLETED = "completed"


class Actor(StrEnum):
    """Who makes a transition."""

    MERCHANT = "merchant"
    PARTNER = "partner"
    OPS = "ops"
    MATCHER = "matcher"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: from, to, who may, what it does to the live offer, and whether a reason must be given."""

    from_state: DeliveryState
    to_state: DeliveryState
    actors: frozenset[Actor]
    offer_becomes: OfferState | None = None
    needs_reason: bool = False

    @property
    def is_correction(self) -> bool:
        """Whether it leaves the delivery where it is, and puts right what is known of how it came there."""
        return self.from_state is self.to_state


class IllegalTransitionError(ValueError):
    """The table has no such transition; `legal` names the states that may come next."""

    def __init__(self, from_state: DeliveryState, to_state: DeliveryState, actor: Actor, *, corrects: bool) -> None:
        self.from_state, self.to_state = from_state, to_state
        # What has ended has ended, but for those who may put it right.
        is_over = from_state in TERMINAL and actor is not Actor.OPS
        self.legal = [] if is_over else legal_next(from_state)
        after = f"may become {', '.join(self.legal)}" if self.legal else "has ended"
        refused = f"has no record of being {to_state} to correct" if corrects else f"cannot become {to_state}"
        super().__init__(f"a delivery that is {from_state} {refused}: it {after}")


class NotYourTransitionError(ValueError):
    """The transition exists, and another actor must make it; `actors` names who may."""

    def __init__(self, transition: Transition, actor: Actor) -> None:
        self.actors = sorted(transition.actors)
        super().__init__(
            f"{transition.from_state} to {transition.to_state} is for {', '.join(self.actors)}; you are {actor}"
        )


_S, _A, _O = DeliveryState, Actor, OfferState
_MATCHER = frozenset({_A.MATCHER})
_SENDER = frozenset({_A.MERCHANT, _A.OPS})
_CARRIER = frozenset({_A.PARTNER, _A.OPS})

TRANSITIONS: tuple[Transition, ...] = (
    Transition(_S.PENDING, _S.OFFERED, _MATCHER),
    Transition(_S.PENDING, _S.ASSIGNED, _MATCHER),
    Transition(_S.PENDING, _S.CANCELLED, _SENDER),
    Transition(_S.OFFERED, _S.ASSIGNED, _CARRIER, _O.ACCEPTED),
    Transition(_S.OFFERED, _S.PENDING, _CARRIER | _MATCHER, _O.REJECTED, needs_reason=True),
    Transition(_S.OFFERED, _S.CANCELLED, _SENDER, _O.WITHDRAWN),
    Transition(_S.ASSIGNED, _S.PICKED_UP, _CARRIER),
    Transition(_S.ASSIGNED, _S.PENDING, _CARRIER | _MATCHER, _O.WITHDRAWN, needs_reason=True),
    Transition(_S.ASSIGNED, _S.CANCELLED, _SENDER, _O.WITHDRAWN),
    Transition(_S.PICKED_UP, _S.OUT_FOR_DELIVERY, _CARRIER),
    Transition(_S.PICKED_UP, _S.RETURNING, _CARRIER, needs_reason=True),
    Transition(_S.OUT_FOR_DELIVERY, _S.DELIVERED, _CARRIER, _O.COMPLETED),
    Transition(_S.OUT_FOR_DELIVERY, _S.ATTEMPT_FAILED, _CARRIER, needs_reason=True),
    Transition(_S.ATTEMPT_FAILED, _S.OUT_FOR_DELIVERY, _CARRIER),
    Transition(_S.ATTEMPT_FAILED, _S.RETURNING, _CARRIER, needs_reason=True),
    Transition(_S.RETURNING, _S.RETURNED, _CARRIER, _O.COMPLETED),
    # The late cancellation: what was said to be handed over was not.
    Transition(_S.DELIVERED, _S.CANCELLED, frozenset({_A.OPS}), needs_reason=True),
    # The corrected proof: it was handed over at another time, or elsewhere.
    Transition(_S.DELIVERED, _S.DELIVERED, frozenset({_A.OPS}), needs_reason=True),
)

_TABLE: Mapping[tuple[DeliveryState, DeliveryState], Transition] = {(t.from_state, t.to_state): t for t in TRANSITIONS}
# Nobody carries it any more.
TERMINAL = frozenset({_S.DELIVERED, _S.RETURNED, _S.CANCELLED})


def legal_next(state: DeliveryState) -> list[DeliveryState]:
    """Return the states that may come after `state`, in the table's order. A correction leads nowhere."""
    return [t.to_state for t in TRANSITIONS if t.from_state is state and not t.is_correction]


def needs_reason(to_state: DeliveryState) -> bool:
    """Say whether every way into `to_state` must be given a reason."""
    ways = [t for t in TRANSITIONS if t.to_state is to_state]
    return bool(ways) and all(t.needs_reason for t in ways)


def check_transition(
    from_state: DeliveryState, to_state: DeliveryState, actor: Actor, *, corrects: bool = False
) -> Transition:
    """Return the table's row; raise IllegalTransitionError or NotYourTransitionError.

    corrects: whether a correction is asked for. Who says once more that something was delivered corrects nothing.
    """
    transition = _TABLE.get((from_state, to_state))
    if transition is None or transition.is_correction is not corrects:
        raise IllegalTransitionError(from_state, to_state, actor, corrects=corrects)
    if actor not in transition.actors:
        raise NotYourTransitionError(transition, actor)
    return transition
