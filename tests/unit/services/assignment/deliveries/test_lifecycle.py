"""The lifecycle's table, walked at random."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.deliveries.lifecycle import (
    TERMINAL,
    TRANSITIONS,
    Actor,
    DeliveryState,
    IllegalTransitionError,
    NotYourTransitionError,
    OfferState,
    check_transition,
    legal_next,
    needs_reason,
)

states, actors = st.sampled_from(DeliveryState), st.sampled_from(Actor)


def test_every_state_is_reachable_from_pending() -> None:
    reached, frontier = {DeliveryState.PENDING}, [DeliveryState.PENDING]
    while frontier:
        for state in legal_next(frontier.pop()):
            if state not in reached:
                reached.add(state)
                frontier.append(state)
    assert reached == set(DeliveryState)


def test_what_has_ended_goes_on_in_no_way_but_that_ops_put_right_that_it_was_delivered() -> None:
    assert {DeliveryState.DELIVERED, DeliveryState.RETURNED, DeliveryState.CANCELLED} == TERMINAL
    onward = [t for t in TRANSITIONS if t.from_state in TERMINAL]
    assert {t.from_state for t in onward} == {DeliveryState.DELIVERED}
    assert [t.to_state for t in onward] == [DeliveryState.CANCELLED, DeliveryState.DELIVERED]
    assert all(t.actors == {Actor.OPS} and t.needs_reason and t.offer_becomes is None for t in onward)


@given(states, states, actors)
def test_a_correction_is_made_by_ops_of_what_was_delivered_and_of_nothing_else(
    from_state: DeliveryState, to_state: DeliveryState, actor: Actor
) -> None:
    if from_state is not DeliveryState.DELIVERED or to_state is not DeliveryState.DELIVERED:
        with pytest.raises(IllegalTransitionError, match="to correct") as refused:
            check_transition(from_state, to_state, actor, corrects=True)
        assert all(state in str(refused.value) for state in refused.value.legal)
    elif actor is not Actor.OPS:
        with pytest.raises(NotYourTransitionError):
            check_transition(from_state, to_state, actor, corrects=True)
    else:
        assert check_transition(from_state, to_state, actor, corrects=True).is_correction


def test_who_says_again_that_it_was_delivered_corrects_nothing() -> None:
    for actor in Actor:
        with pytest.raises(IllegalTransitionError, match="cannot become delivered") as refused:
            check_transition(DeliveryState.DELIVERED, DeliveryState.DELIVERED, actor)
        assert refused.value.legal == ([DeliveryState.CANCELLED] if actor is Actor.OPS else [])


def test_no_transition_stands_twice() -> None:
    assert len({(t.from_state, t.to_state) for t in TRANSITIONS}) == len(TRANSITIONS)


@given(states, states, actors)
def test_a_transition_is_made_by_those_who_may_or_refused_with_what_is_legal(
    from_state: DeliveryState, to_state: DeliveryState, actor: Actor
) -> None:
    rows = [
        t for t in TRANSITIONS if (t.from_state, t.to_state) == (from_state, to_state) and not t.is_correction
    ]  # fmt: skip
    if not rows:
        with pytest.raises(IllegalTransitionError) as refused:
            check_transition(from_state, to_state, actor)
        is_over = from_state in TERMINAL and actor is not Actor.OPS
        assert refused.value.legal == ([] if is_over else legal_next(from_state))
        assert not is_over or "has ended" in str(refused.value)
        assert all(state in str(refused.value) for state in refused.value.legal)
    elif actor not in rows[0].actors:
        with pytest.raises(NotYourTransitionError) as not_yours:
            check_transition(from_state, to_state, actor)
        assert actor not in not_yours.value.actors
    else:
        assert check_transition(from_state, to_state, actor) is rows[0]


@given(st.lists(st.integers(0, 15), max_size=30))
def test_on_every_walk_a_partner_holds_the_delivery_exactly_while_an_offer_lives(choices: list[int]) -> None:
    state, offer_lives = DeliveryState.PENDING, False
    for choice in choices:
        ways = [t for t in TRANSITIONS if t.from_state is state]
        if not ways:
            break
        way = ways[choice % len(ways)]
        if way.from_state is DeliveryState.PENDING and way.to_state is not DeliveryState.CANCELLED:
            assert not offer_lives
            offer_lives = True
        elif way.offer_becomes not in (None, OfferState.ACCEPTED):
            assert offer_lives
            offer_lives = False
        state = way.to_state
        assert offer_lives == (state not in TERMINAL and state is not DeliveryState.PENDING)


def test_a_failed_attempt_and_a_return_need_a_reason() -> None:
    assert {state for state in DeliveryState if needs_reason(state)} == {
        DeliveryState.ATTEMPT_FAILED,
        DeliveryState.RETURNING,
    } | {DeliveryState.PENDING}
