"""Suggestions: every class has one, and what is suggested can be done."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.exceptions.resolutions import ResolutionKind, refusal_of
from services.reconciliation.exceptions.suggestions import WAIT, suggestion_of
from tests.desk import CLASSES, case

# What the classes that only go one way are about.
OVER = {"overpaid", "duplicate", "cancelled_after_export", "late_adjustment", "unknown_delivery"}
UNDER = {"underpaid", "missing_payout"}


@given(st.sampled_from(CLASSES), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 1_000))
def test_what_is_suggested_can_be_done(kind: str, least: int, more: int, small_paise: int) -> None:
    expected, paid = (least, least + more) if kind in OVER else (least + more, least if kind in UNDER else 0)
    made = case(kind, expected, paid, leg="cash" if kind == "cash_mismatch" else "payout")
    found = suggestion_of(made, small_paise)
    assert 0 <= found.confidence_pct <= 100
    assert found.because
    assert found.resolution == WAIT or refusal_of(ResolutionKind(found.resolution), made) == ""


@pytest.mark.parametrize(("kind", "expected", "paid", "evidence", "resolution"), [
    ("overpaid", 5_000, 5_100, {}, "write_off"),
    ("overpaid", 5_000, 5_101, {}, "recover"),
    ("underpaid", 5_000, 4_999, {}, "pay"),
    ("duplicate", 0, 5_000, {"settled_by_line": 3, "paid_paise": 5_000, "owed_paise": 5_000}, "recover"),
    ("late_adjustment", 0, 5_000, {"reversal_entry_id": "x"}, "adjust"),
    ("missing_payout", 5_000, 0, {}, WAIT),
    ("unknown_delivery", 0, 5_000, {"reference": " "}, WAIT),
    ("unknown_delivery", 0, 5_000, {"reference": "x"}, "recover"),
    ("wrong_partner", 5_000, 5_000, {}, "recover"),
    ("late_adjustment", 0, 0, {}, "dismiss"),
    ("late_adjustment", 0, 0, {"written_off_paise": 5_000}, "adjust"),
])  # fmt: skip
def test_what_is_suggested(kind: str, expected: int, paid: int, evidence: dict[str, object], resolution: str) -> None:
    assert suggestion_of(case(kind, expected, paid, evidence=json.dumps(evidence)), 100).resolution == resolution


def test_the_same_amount_again_is_surer_than_any_further_line() -> None:
    same = {"settled_by_line": 3, "paid_paise": 5_000, "owed_paise": 5_000}
    again, further = (
        suggestion_of(case("duplicate", 0, 5_000, evidence=json.dumps(evidence)), 100)
        for evidence in (same, same | {"paid_paise": 1})
    )
    assert again.confidence_pct > further.confidence_pct
