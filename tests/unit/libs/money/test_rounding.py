"""Rounding agrees with Python's decimal, to the paisa."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.money.errors import AmountTooLargeError, MoneyError
from libs.money.rounding import basis_points, share, whole_rupees

AMOUNT = st.integers(-(10**14), 10**14)


@given(AMOUNT, st.integers(-(10**6), 10**6), st.sampled_from([1, 2, 3, 4, 7, 1_000, 3_600, 10_000, 3_600_000]))
def test_a_share_is_half_even_as_in_decimal(amount: int, numerator: int, denominator: int) -> None:
    # The nearest multiple as a comparison of exact integers: decimal's own division would round before we do.
    with localcontext(prec=60):
        exact = Decimal(amount) * Decimal(numerator)
        found = share(amount, numerator, denominator)
        distance = abs(exact - Decimal(found) * denominator) * 2
        assert distance <= denominator
        if distance == denominator:
            assert found % 2 == 0


@given(AMOUNT, st.integers(0, 100_000))
def test_basis_points_are_those_of_decimal(amount: int, rate_bp: int) -> None:
    with localcontext(prec=60):
        expected = (Decimal(amount) * rate_bp / 10_000).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert basis_points(amount, rate_bp) == int(expected)


@given(AMOUNT)
def test_what_is_due_under_gst_law_is_in_whole_rupees_half_up(paise: int) -> None:
    expected = (Decimal(paise) / 100).quantize(Decimal(1), ROUND_HALF_UP)
    assert whole_rupees(paise) == int(expected) * 100


def test_halves_go_to_the_even_paisa_and_to_the_higher_rupee() -> None:
    assert [share(n, 1, 2) for n in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
    assert [whole_rupees(n) for n in (149, 150, 50, 49, -150)] == [100, 200, 100, 0, -200]


def test_a_share_of_nothing_or_beyond_64_bits_is_refused() -> None:
    with pytest.raises(MoneyError, match="positive denominator"):
        share(1, 1, 0)
    with pytest.raises(AmountTooLargeError):
        share(2**62, 4, 1)
