"""What a line of a bank's statement says of a payout. Pure.

The bank's word for money that left is a line of the leg `payout`, for money that came back one of the leg `cash`.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.reconciliation.settlements.lifecycle import PAYOUT_TRANSITIONS, PayoutState, PayoutTransition


class Outcome(StrEnum):
    """What becomes of a payout by a line."""

    PAID = "paid"
    RETURNED = "returned"
    # It was so already.
    SAME = "same"
    UNKNOWN_REFERENCE = "unknown_reference"
    AMOUNT_DIFFERS = "amount_differs"
    # It had come back: that it is paid after all is for people to look at.
    PAID_AFTER_RETURN = "paid_after_return"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a payout when a line names it. `was_paid` also of one that has come back since."""

    paise: int
    state: PayoutState
    was_paid: bool


def judge(leg: str, paise: int, payout: Known | None) -> Outcome:
    """Return what a line says; `payout` is None where none has its reference."""
    if payout is None:
        return Outcome.UNKNOWN_REFERENCE
    if paise != payout.paise:
        return Outcome.AMOUNT_DIFFERS
    to_state = PayoutState.PAID if leg == "payout" else PayoutState.RETURNED
    if transition(payout.state, to_state) is not None:
        return Outcome(to_state.value)
    # That it was paid is older news than that it came back, where both are known.
    return Outcome.SAME if to_state is payout.state or payout.was_paid else Outcome.PAID_AFTER_RETURN


def transition(state: PayoutState, to_state: PayoutState) -> PayoutTransition | None:
    """Return the row of the table from one state to another, or None."""
    return next((row for row in PAYOUT_TRANSITIONS if (row.from_state, row.to_state) == (state, to_state)), None)
