"""The table of states: one way through, and every state has its place."""

from datetime import timedelta

import pytest

from services.reconciliation.runs.lifecycle import (
    NEEDED_BY_ALL,
    ORDER,
    TRANSITIONS,
    WAITING,
    State,
    backoff,
    transition_of,
)


def test_every_state_but_the_last_leads_to_the_next() -> None:
    assert set(ORDER) == set(State)
    assert [transition.then for transition in TRANSITIONS] == list(ORDER[1:])
    with pytest.raises(KeyError):
        transition_of(State.DONE)


def test_no_state_waits_before_what_later_ones_need_is_done() -> None:
    assert WAITING[-1] == ORDER[len(NEEDED_BY_ALL)]


def test_each_wait_is_twice_the_last_up_to_the_longest() -> None:
    first, longest = timedelta(seconds=1), timedelta(seconds=6)
    assert [backoff(n, first, longest).total_seconds() for n in (1, 2, 3, 4, 10_000)] == [1, 2, 4, 6, 6]
