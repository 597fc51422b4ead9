"""The states of a cycle that is being closed, of a line that is held, and of a payout, as tables. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What closing a cycle does next."""

    GATHER = "gather"
    TOP_UP = "top_up"
    STATE = "state"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Step:
    """From which state to which, and what is done, a piece at a time: each piece is one transaction."""

    state: State
    then: State
    piece: str
    does: str


STEPS = (
    Step(State.GATHER, State.TOP_UP, "some entries", "makes each entry a line of its parties"),
    Step(State.TOP_UP, State.STATE, "some partners", "books what the hourly guarantee adds, and makes it a line"),
    Step(State.STATE, State.CLOSED, "some parties", "adds up each party's lines, and hashes its statement"),
)
ORDER: tuple[State, ...] = (*(step.state for step in STEPS), State.CLOSED)


def after(state: State) -> State:
    """Return the state that follows; KeyError for closed."""
    return {step.state: step.then for step in STEPS}[state]


class HoldState(StrEnum):
    """Whether a line is kept out of what is payable."""

    # Nobody has ever held it.
    NONE = "none"
    HELD = "held"
    DISPUTED = "disputed"
    RELEASED = "released"


class HoldAction(StrEnum):
    """What is done with a line."""

    HOLD = "hold"
    DISPUTE = "dispute"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class HoldTransition:
    """What an action makes of a line in one of some states."""

    action: HoldAction
    from_states: frozenset[HoldState]
    to_state: HoldState
    does: str


_FREE = frozenset({HoldState.NONE, HoldState.RELEASED})
HOLD_TRANSITIONS = (
    HoldTransition(HoldAction.HOLD, _FREE | {HoldState.DISPUTED}, HoldState.HELD, "ops look into it"),
    HoldTransition(HoldAction.DISPUTE, _FREE, HoldState.DISPUTED, "the party does not agree, and ops say so for it"),
    HoldTransition(
        HoldAction.RELEASE, frozenset({HoldState.HELD, HoldState.DISPUTED}), HoldState.RELEASED,
        "it goes into what is payable next",
    ),
)  # fmt: skip


def held(action: HoldAction, state: HoldState) -> HoldState | None:
    """Return what an action makes of a line in a state; None when it may not be done."""
    for row in HOLD_TRANSITIONS:
        if row.action is action and state in row.from_states:
            return row.to_state
    return None


class PayoutState(StrEnum):
    """What became of a payout."""

    SENT = "sent"
    PAID = "paid"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class PayoutTransition:
    """What a bank's word makes of a payout, and the kind of entry that is booked for it; empty for none."""

    from_state: PayoutState
    to_state: PayoutState
    books: str
    does: str


PAYOUT_TRANSITIONS = (
    PayoutTransition(PayoutState.SENT, PayoutState.PAID, "payout", "the money has left the bank"),
    PayoutTransition(PayoutState.SENT, PayoutState.RETURNED, "", "it never left: it is payable again"),
    PayoutTransition(PayoutState.PAID, PayoutState.RETURNED, "payout_return", "it came back: it is payable again"),
)
