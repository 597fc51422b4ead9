"""pay = sum over partners of max(deliveries * rate, on-duty hours * guarantee), exactly."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.ledger.guarantee import Duty, guaranteed_paise, pay_paise, top_up_paise

COUNT, PAISE = st.integers(0, 200), st.integers(0, 100_000)


@given(st.lists(st.tuples(COUNT, st.integers(0, 24)), max_size=50), PAISE, PAISE)
def test_whole_hours_reproduce_the_formula_exactly(
    partners: list[tuple[int, int]], rate_paise: int, guarantee_paise: int
) -> None:
    duties = [Duty.at_flat_rate(count, rate_paise, hours * 3_600) for count, hours in partners]
    expected = sum(max(count * rate_paise, hours * guarantee_paise) for count, hours in partners)
    assert pay_paise(duties, guarantee_paise) == expected


@given(st.lists(st.tuples(PAISE, st.integers(0, 86_400)), max_size=50), PAISE)
def test_parts_of_hours_are_those_of_decimal_rounded_once_for_each_partner(
    partners: list[tuple[int, int]], guarantee_paise: int
) -> None:
    with localcontext(prec=60):
        expected = sum(
            max(
                earned,
                int((Decimal(guarantee_paise) * on_duty_s / 3_600).quantize(Decimal(1), ROUND_HALF_EVEN)),
            )
            for earned, on_duty_s in partners
        )
    assert pay_paise([Duty(earned, on_duty_s) for earned, on_duty_s in partners], guarantee_paise) == expected


@given(PAISE, st.integers(0, 86_400), PAISE)
def test_nobody_is_topped_up_beyond_the_guarantee(earned: int, on_duty_s: int, guarantee_paise: int) -> None:
    added = top_up_paise(Duty(earned, on_duty_s), guarantee_paise)
    assert added >= 0
    if added:
        assert earned + added == guaranteed_paise(on_duty_s, guarantee_paise)
