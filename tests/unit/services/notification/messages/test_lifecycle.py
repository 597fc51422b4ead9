"""The table of a message's life keeps promise 5."""

from services.notification.messages.lifecycle import ENDED, TRANSITIONS, MessageState, Mover, may_move, sources_of

S = MessageState


def test_nobody_but_a_person_sends_again_what_was_sent() -> None:
    for state in (S.SENT, S.DELIVERED):
        assert [m for m in Mover if may_move(state, S.PLANNED, m)] == [Mover.PERSON]
    # What its receiver drops by its id may be repeated; who made the attempt may know that it was not sent.
    again = {m for m in Mover if may_move(S.OUTCOME_UNKNOWN, S.PLANNED, m)}
    assert again == {Mover.PERSON, Mover.REPEATER, Mover.SENDER}
    assert sources_of(S.PLANNED, Mover.REPEATER) == (S.OUTCOME_UNKNOWN,)
    assert [m for m in Mover if may_move(S.SENDING, S.PLANNED, m)] == [Mover.SENDER]


def test_a_provider_is_asked_only_for_what_was_planned() -> None:
    assert [t.from_state for t in TRANSITIONS if t.to_state is S.SENDING] == [S.PLANNED]


def test_every_state_is_reachable_and_what_has_ended_goes_on_only_for_a_person() -> None:
    assert {t.to_state for t in TRANSITIONS} == set(S)
    assert {m for t in TRANSITIONS if t.from_state in ENDED for m in t.movers} == {Mover.PERSON}


def test_a_receipt_may_come_before_the_answer_and_after_the_worker_was_given_up() -> None:
    assert set(sources_of(S.DELIVERED, Mover.PROVIDER)) == {S.SENDING, S.SENT, S.OUTCOME_UNKNOWN}
    assert S.SENDING not in sources_of(S.PLANNED, Mover.PERSON)
    assert sources_of(S.OUTCOME_UNKNOWN, Mover.SWEEPER) == (S.SENDING,)
