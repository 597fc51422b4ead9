"""Indian amounts: what is formatted is parsed to the same paise, and what is no exact amount has a named reason."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.money.amount import INT64_MAX, INT64_MIN, Money
from libs.money.errors import MoneyError
from libs.money.text import format_rupees, parse_rupees


@given(st.integers(INT64_MIN, INT64_MAX))
def test_what_is_formatted_is_parsed_to_the_same(paise: int) -> None:
    text = format_rupees(paise)
    assert parse_rupees(text) == Money(paise)
    assert Decimal(text.replace(",", "")) * 100 == paise


@given(st.decimals(-(10**15), 10**15, places=2))
def test_plain_decimals_are_taken_as_they_are(amount: Decimal) -> None:
    assert parse_rupees(f"{amount:f}").minor == int(amount * 100)


@given(st.text(max_size=50))
def test_any_other_text_is_refused_and_breaks_nothing(text: str) -> None:
    with suppress(MoneyError):
        assert parse_rupees(text).currency == "INR"


@pytest.mark.parametrize(
    ("text", "paise"),
    [
        ("1,23,456.78", 12345678),
        ("12,34,56,789.00", 12345678900),
        ("999", 99900),
        ("-0.05", -5),
        ("+5.5", 550),
        (" ₹ 1,000 ", 100000),
        ("-₹1,000.50", -100050),
        ("₹-12", -1200),
        ("Rs. 12.30", 1230),
        ("INR 12", 1200),
        ("12 INR", 1200),
        ("007", 700),
    ],
)
def test_how_rupees_are_written(text: str, paise: int) -> None:
    assert parse_rupees(text) == Money(paise)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1e3", "AMOUNT_WITH_EXPONENT"),
        ("1.5E-2", "AMOUNT_WITH_EXPONENT"),
        ("1.005", "AMOUNT_BELOW_MINOR_UNIT"),
        ("0.000", "AMOUNT_BELOW_MINOR_UNIT"),
        ("123,456.78", "AMOUNT_MISGROUPED"),
        ("1,2,3", "AMOUNT_MISGROUPED"),
        ("1,,000", "AMOUNT_MISGROUPED"),
        ("USD 5", "CURRENCY_MISMATCH"),
        ("INR 5 USD", "CURRENCY_MISMATCH"),
        ("$5", "AMOUNT_NOT_A_NUMBER"),
        ("", "AMOUNT_NOT_A_NUMBER"),
        ("1.", "AMOUNT_NOT_A_NUMBER"),
        (".5", "AMOUNT_NOT_A_NUMBER"),
        ("--5", "AMOUNT_NOT_A_NUMBER"),
        ("-₹-5", "AMOUNT_NOT_A_NUMBER"),
        ("(5.00)", "AMOUNT_NOT_A_NUMBER"),
        ("٣", "AMOUNT_NOT_A_NUMBER"),
        ("1 000", "AMOUNT_NOT_A_NUMBER"),
        ("NaN", "AMOUNT_NOT_A_NUMBER"),
        ("9" * 41, "AMOUNT_NOT_A_NUMBER"),
        ("9" * 30, "AMOUNT_TOO_LARGE"),
    ],
)
def test_what_is_no_exact_amount_has_a_named_reason(text: str, reason: str) -> None:
    with pytest.raises(MoneyError) as refused:
        parse_rupees(text)
    assert refused.value.reason == reason
