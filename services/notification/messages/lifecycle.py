"""The lifecycle of a message: a table of states and transitions, with who makes each.

Invariants: from SENDING no way leads back to PLANNED but by a sender who knows that nothing was sent; what may have
been sent waits in OUTCOME_UNKNOWN until its provider says, or the sender who made the attempt and was given up too
soon, or a person takes it on themselves to send it again. Only what its receiver drops by its id is repeated without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class MessageState(StrEnum):
    """Where a message is in its life."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    SUPPRESSED = "suppressed"


class Mover(StrEnum):
    """Who makes a transition."""

    # Takes back what was planned and is not true any more.
    PLANNER = "planner"
    SENDER = "sender"
    # By a receipt, or asked what became of an attempt.
    PROVIDER = "provider"
    # Ends what a sender left open when it died.
    SWEEPER = "sweeper"
    # Sends again what its receiver drops if it has it: webhooks.
    REPEATER = "repeater"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    from_state: MessageState
    to_state: MessageState
    movers: frozenset[Mover]
    why: str


_S, _M = MessageState, Mover
_SENDER, _PROVIDER, _PERSON = frozenset({_M.SENDER}), frozenset({_M.PROVIDER}), frozenset({_M.PERSON})

TRANSITIONS: tuple[Transition, ...] = (
    Transition(_S.PLANNED, _S.SENDING, _SENDER, "committed before the provider is asked"),
    Transition(_S.PLANNED, _S.SUPPRESSED, _SENDER | {_M.PLANNER}, "its address takes none, or it is not so"),
    Transition(_S.PLANNED, _S.FAILED, _SENDER, "too late, no address, or no words for it"),
    Transition(_S.SENDING, _S.SENT, _SENDER | _PROVIDER, "the provider has taken it"),
    Transition(_S.SENDING, _S.DELIVERED, _SENDER | _PROVIDER, "it has arrived"),
    Transition(_S.SENDING, _S.PLANNED, _SENDER, "certainly not sent: another provider, or later"),
    Transition(_S.SENDING, _S.FAILED, _SENDER | _PROVIDER, "certainly not sent, and no use to try again"),
    Transition(_S.SENDING, _S.OUTCOME_UNKNOWN, frozenset({_M.SENDER, _M.SWEEPER}), "it may have been sent"),
    Transition(_S.SENT, _S.DELIVERED, _PROVIDER, "it has arrived"),
    Transition(_S.SENT, _S.FAILED, _PROVIDER, "it could not be delivered"),
    # Somebody who slept through its lease wakes up and knows.
    Transition(_S.OUTCOME_UNKNOWN, _S.SENT, _SENDER | _PROVIDER, "the provider has taken it"),
    Transition(_S.OUTCOME_UNKNOWN, _S.DELIVERED, _SENDER | _PROVIDER, "it has arrived"),
    Transition(_S.OUTCOME_UNKNOWN, _S.FAILED, _SENDER | _PROVIDER, "it did not arrive"),
    Transition(
        _S.OUTCOME_UNKNOWN,
        _S.PLANNED,
        _PERSON | _SENDER | {_M.REPEATER},
        "sent again: certainly not sent, or twice unless dropped",
    ),
    Transition(_S.SENT, _S.PLANNED, _PERSON, "sent again"),
    Transition(_S.DELIVERED, _S.PLANNED, _PERSON, "sent again"),
    Transition(_S.FAILED, _S.PLANNED, _PERSON, "sent again"),
    Transition(_S.SUPPRESSED, _S.PLANNED, _PERSON, "sent after all: its address takes messages again"),
)

_TABLE: Mapping[tuple[MessageState, MessageState], Transition] = {(t.from_state, t.to_state): t for t in TRANSITIONS}
ENDED = frozenset({_S.DELIVERED, _S.FAILED, _S.SUPPRESSED})


def may_move(from_state: MessageState, to_state: MessageState, mover: Mover) -> bool:
    """Whether the table lets `mover` make this transition."""
    transition = _TABLE.get((from_state, to_state))
    return transition is not None and mover in transition.movers


@cache
def sources_of(to_state: MessageState, mover: Mover) -> tuple[MessageState, ...]:
    """Return the states that `mover` may bring to `to_state`, in the table's order."""
    return tuple(t.from_state for t in TRANSITIONS if t.to_state is to_state and mover in t.movers)
