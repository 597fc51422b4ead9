"""Whatever a bank says in whatever order, a payout is paid once and comes back once."""

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.settlements.lifecycle import PayoutState
from services.reconciliation.settlements.payouts.outcomes import Known, Outcome, judge, transition

PAISE = 500


@given(st.lists(st.tuples(st.sampled_from(["payout", "cash"]), st.sampled_from([PAISE, PAISE + 1]))))
def test_a_payout_is_booked_at_most_once_each_way(said: list[tuple[str, int]]) -> None:
    payout, booked = Known(PAISE, PayoutState.SENT, was_paid=False), []
    for leg, paise in said:
        outcome = judge(leg, paise, payout)
        if outcome in (Outcome.PAID, Outcome.RETURNED):
            row = transition(payout.state, PayoutState(outcome.value))
            assert row is not None
            booked += [row.books] if row.books else []
            payout = Known(PAISE, row.to_state, payout.was_paid or outcome is Outcome.PAID)
        elif paise != PAISE:
            assert outcome is Outcome.AMOUNT_DIFFERS
    assert booked in ([], ["payout"], ["payout", "payout_return"])
    assert (booked == ["payout"]) == (payout.state is PayoutState.PAID)


def test_older_news_is_no_news_and_a_payment_after_a_return_is_for_people() -> None:
    assert judge("payout", PAISE, Known(PAISE, PayoutState.RETURNED, was_paid=True)) is Outcome.SAME
    assert judge("payout", PAISE, Known(PAISE, PayoutState.RETURNED, was_paid=False)) is Outcome.PAID_AFTER_RETURN
    assert judge("payout", PAISE, None) is Outcome.UNKNOWN_REFERENCE
