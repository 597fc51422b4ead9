"""Amounts in words say the amount, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.papers.words import _ONES, _TENS, number_in_words, rupees_in_words

_SCALE = {"Crore": 10_000_000, "Lakh": 100_000, "Thousand": 1_000, "Hundred": 100}


@pytest.mark.parametrize(
    ("paise", "said"),
    [
        (0, "Rupees Zero Only"),
        (1_00, "Rupees One Only"),
        (5_50, "Rupees Five and Fifty Paise Only"),
        (1_23_456_78, "Rupees One Lakh Twenty-Three Thousand Four Hundred Fifty-Six and Seventy-Eight Paise Only"),
        (7_45_624_00, "Rupees Seven Lakh Forty-Five Thousand Six Hundred Twenty-Four Only"),
        (10_00_00_000_00, "Rupees Ten Crore Only"),
        (1_00_00_00_00_000_00, "Rupees Ten Thousand Crore Only"),
    ],
)
def test_amounts_are_said_as_in_india(paise: int, said: str) -> None:
    assert rupees_in_words(paise) == said


@given(st.integers(0, 10**7 - 1))
def test_words_can_be_read_back(number: int) -> None:
    assert _read(number_in_words(number)) == number


@given(st.integers(10**7, 2**63))
def test_crores_are_counted_like_any_number(number: int) -> None:
    crores, rest = divmod(number, 10**7)
    head, _, tail = number_in_words(number).rpartition("Crore")
    assert head == f"{number_in_words(crores)} "
    assert tail == (f" {number_in_words(rest)}" if rest else "")


def _read(words: str) -> int:
    total = current = 0
    for word in words.replace("-", " ").split():
        if word in _SCALE:
            total, current = (total, current * 100) if word == "Hundred" else (total + current * _SCALE[word], 0)
        else:
            current += _ONES.index(word) if word in _ONES else 10 * _TENS.index(word)
    return total + current
