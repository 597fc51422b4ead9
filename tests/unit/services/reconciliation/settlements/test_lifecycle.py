"""The tables of states: what follows what, and what may be done with a line and with a payout."""

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.settlements.lifecycle import (
    HOLD_TRANSITIONS,
    ORDER,
    PAYOUT_TRANSITIONS,
    HoldAction,
    HoldState,
    PayoutState,
    State,
    after,
    held,
)


def test_every_state_of_a_cycle_leads_to_the_next_and_the_last_to_none() -> None:
    assert set(ORDER) == set(State)
    assert [after(state) for state in ORDER[:-1]] == list(ORDER[1:])


@given(st.lists(st.sampled_from(HoldAction)))
def test_a_line_is_frozen_exactly_between_a_hold_and_its_release(actions: list[HoldAction]) -> None:
    state, frozen = HoldState.NONE, False
    for action in actions:
        then = held(action, state)
        if then is None:
            continue
        frozen = action is not HoldAction.RELEASE
        state = then
        assert (state in {HoldState.HELD, HoldState.DISPUTED}) == frozen


def test_nothing_is_released_that_is_not_held_and_nothing_held_twice() -> None:
    assert held(HoldAction.RELEASE, HoldState.NONE) is None
    assert held(HoldAction.HOLD, HoldState.HELD) is None
    assert held(HoldAction.DISPUTE, HoldState.HELD) is None
    assert held(HoldAction.HOLD, HoldState.DISPUTED) is HoldState.HELD
    assert len({(row.action, state) for row in HOLD_TRANSITIONS for state in row.from_states}) == 7


def test_a_payout_that_came_back_is_at_its_end() -> None:
    assert all(row.from_state is not PayoutState.RETURNED for row in PAYOUT_TRANSITIONS)
    assert {row.to_state for row in PAYOUT_TRANSITIONS} == {PayoutState.PAID, PayoutState.RETURNED}
