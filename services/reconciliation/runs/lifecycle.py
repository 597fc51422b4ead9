"""The states of a run's chunks, as a table. Pure.

A run is done in chunks. Each goes through the same states, each state is one transaction, and whoever is killed leaves
its chunk in the state that it was in. What belongs together may be in several chunks, so some states wait until every
chunk has come so far; a chunk that is quarantined is waited for by none.

`collect`, `normalize` and `match_exact` work on a slice of the ledger's entries and a range of deliveries; the later
ones on a bucket of payees, since what has no good reference is found by whom it pays.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class State(StrEnum):
    """What a chunk is to do next."""

    COLLECT = "collect"
    NORMALIZE = "normalize"
    MATCH_EXACT = "match_exact"
    MATCH_BY_RULE = "match_by_rule"
    CLASSIFY = "classify"
    POST = "post"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Transition:
    """From which state to which, whether all chunks must have come to it, and what is done."""

    state: State
    then: State
    waits_for_all: bool
    does: str


TRANSITIONS = (
    Transition(State.COLLECT, State.NORMALIZE, False, "counts what the chunk has to account for"),
    Transition(State.NORMALIZE, State.MATCH_EXACT, False, "notes what is undone since, and whose open lines are"),
    Transition(State.MATCH_EXACT, State.MATCH_BY_RULE, True, "settles what has the same delivery, payee and amount"),
    Transition(State.MATCH_BY_RULE, State.CLASSIFY, True, "settles what rules find: 1:1, N:1 and 1:N"),
    Transition(State.CLASSIFY, State.POST, False, "says of the rest what is wrong with it"),
    Transition(State.POST, State.DONE, False, "writes discrepancies down with their evidence"),
)
ORDER: tuple[State, ...] = (*(transition.state for transition in TRANSITIONS), State.DONE)
WAITING: tuple[State, ...] = tuple(transition.state for transition in TRANSITIONS if transition.waits_for_all)
# What is not known of these is missing for every later state of every chunk.
NEEDED_BY_ALL: tuple[State, ...] = (State.COLLECT, State.NORMALIZE, State.MATCH_EXACT)


def transition_of(state: State) -> Transition:
    """Return what is done in a state; KeyError for done."""
    return {transition.state: transition for transition in TRANSITIONS}[state]


def backoff(attempts: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return how long to wait after `attempts` failed ones: twice as long each time."""
    return min(longest, first * (1 << min(attempts - 1, 30)))
