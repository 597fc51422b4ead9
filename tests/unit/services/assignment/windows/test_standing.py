"""Where partners stand, as columns of the problem."""

from typing import Any

import pytest

from libs.ids import new_id
from services.assignment.matching.problem import UNLIMITED, UNRATED
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.windows.standing import Standing, earned_per_h, partner_columns

ONE, TWO, ABSENT, SHOP, STALL = (new_id() for _ in range(5))


def row(identifier: Any, **changes: Any) -> Any:
    return {"id": identifier, "rating": None, "cash_limit_minor": None, "network_health": 1.0} | changes


def test_what_is_not_said_limits_nobody() -> None:
    columns = partner_columns([row(ONE)], Standing({ONE: 5_000}, {}, []), {})
    assert columns["rating"].tolist() == [UNRATED]
    assert columns["cash_paise_left"].tolist() == [UNLIMITED]
    assert columns["earned_paise_per_h"].tolist() == [0]
    assert all(columns[name].shape == (0, 2) for name in ("merchants_denied", "merchants_allowed"))


def test_a_limit_below_what_is_held_leaves_nothing() -> None:
    rows = [row(ONE, cash_limit_minor=4_000, rating=2.5), row(TWO, cash_limit_minor=9_000, network_health=0.0)]
    columns = partner_columns(rows, Standing({ONE: 5_000, TWO: 2_000}, {TWO: 777}, []), {})
    assert columns["cash_paise_left"].tolist() == [0, 7_000]
    assert columns["earned_paise_per_h"].tolist() == [0, 777]
    assert columns["rating"].tolist() == [2.5, UNRATED]
    assert columns["network_health"].tolist() == [1.0, 0.0]


def test_a_merchant_keeps_insisting_on_partners_who_are_not_here() -> None:
    lists = [MerchantPartners(SHOP, allowed=(ABSENT,), denied=(TWO,)), MerchantPartners(STALL, denied=(ABSENT, ONE))]
    columns = partner_columns([row(ONE), row(TWO)], Standing({}, {}, lists), {SHOP: 0, STALL: 1})
    assert columns["merchants_allowed"].tolist() == []
    assert columns["merchants_choosing"].tolist() == [0]
    assert columns["merchants_denied"].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("earned", "shift_s", "per_h"), [(8_000, 7_200, 4_000), (4_000, 60, 4_000), (4_000, 0, 4_000), (0, 9_999, 0)]
)
def test_earnings_are_spread_over_the_shift_once_it_has_lasted_an_hour(earned: int, shift_s: float, per_h: int) -> None:
    assert earned_per_h(earned, shift_s) == per_h
