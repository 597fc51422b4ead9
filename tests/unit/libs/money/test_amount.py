"""Sums are exact or refused: never of two currencies, never beyond 64 bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.money.amount import INT64_MAX, INT64_MIN, Money, total
from libs.money.errors import AmountTooLargeError, CurrencyMismatchError, MoneyError

INT64 = st.integers(INT64_MIN, INT64_MAX)


@given(st.lists(INT64))
def test_a_total_is_the_exact_sum_or_refused_whatever_the_order(amounts: list[int]) -> None:
    if INT64_MIN <= sum(amounts) <= INT64_MAX:
        assert total(amounts) == total(sorted(amounts)) == sum(amounts)
    else:
        with pytest.raises(AmountTooLargeError):
            total(amounts)


@given(INT64, INT64)
def test_adding_and_subtracting_undo_each_other_within_64_bits(left: int, right: int) -> None:
    if INT64_MIN <= left + right <= INT64_MAX:
        assert Money(left) + Money(right) - Money(right) == Money(left)
    else:
        with pytest.raises(AmountTooLargeError):
            Money(left) + Money(right)


def test_two_currencies_are_never_added() -> None:
    with pytest.raises(CurrencyMismatchError, match="USD where INR is wanted"):
        Money(1) + Money(1, "USD")
    with pytest.raises(CurrencyMismatchError):
        Money(1, "USD") - Money(1)


@pytest.mark.parametrize("minor", [1.0, True, "1"])
def test_only_an_int_is_an_amount(minor: object) -> None:
    with pytest.raises(MoneyError, match="minor units are an int"):
        Money(minor)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize("currency", ["inr", "", "RUPEE", "IN1"])
def test_a_currency_is_an_iso_code(currency: str) -> None:
    with pytest.raises(MoneyError, match="ISO 4217"):
        Money(1, currency)


def test_what_is_owed_the_other_way_must_fit_too() -> None:
    assert -Money(5) == Money(-5)
    with pytest.raises(AmountTooLargeError):
        -Money(INT64_MIN)
    with pytest.raises(AmountTooLargeError, match="an amount of 16610 bits"):
        Money(10**5000)
