"""What a resolution is of, and what it is worth: whatever is resolved, its postings sum to zero."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.exceptions.case import Case
from services.reconciliation.exceptions.resolutions import (
    RULES,
    UNDONE,
    ResolutionKind,
    amount_of,
    calendars_of,
    gives_up,
    is_checked,
    postings_of,
    refusal_of,
    together_refusal,
)
from tests.desk import CLASSES, PARTNER, PAYEE, case

AMOUNTS = st.integers(0, 10**12)
CASES = st.builds(
    # Nothing is owed for what nobody knows.
    lambda kind, leg, expected, paid, payee: case(
        kind, 0 if kind == "unknown_delivery" else expected, paid, leg=leg, payee=payee
    ),
    st.sampled_from(CLASSES),
    st.sampled_from(["payout", "cash"]),
    AMOUNTS,
    AMOUNTS,
    st.sampled_from([PAYEE, "network:fleet", "nobody"]),
)
UNKNOWN = case("unknown_delivery", 0, 150)
GIVEN_UP = '{"written_off_paise": 150}'
ALONE = [kind for kind in ResolutionKind if kind is not ResolutionKind.MATCH]


def booked(kind: ResolutionKind, *cases: Case, tolerance_paise: int = 0) -> dict[str, int]:
    return {str(posting.account): posting.paise for posting in postings_of(kind, cases, tolerance_paise)}


@given(st.sampled_from(ALONE), st.lists(CASES, min_size=1, max_size=5))
def test_the_postings_of_whatever_is_not_refused_sum_to_zero(kind: ResolutionKind, cases: list[Case]) -> None:
    taken = [one for one in cases if not refusal_of(kind, one)]
    postings = postings_of(kind, taken, 0)
    assert sum(posting.paise for posting in postings) == 0
    assert sum(abs(posting.paise) for posting in postings) <= 2 * amount_of(kind, taken, 0)
    if kind is ResolutionKind.WRITE_OFF:
        # Each is given up once, wherever it goes.
        assert sum(abs(posting.paise) for posting in postings) == 2 * amount_of(kind, taken, 0)


@given(st.lists(CASES, min_size=2, max_size=5), st.integers(0, 100), st.booleans())
def test_cases_that_match_post_what_is_left_of_them_and_no_more(
    cases: list[Case], tolerance_paise: int, write_off_rest: bool
) -> None:
    together = [replace(one, payee=PAYEE, leg="payout") for one in cases]
    if together_refusal(together, tolerance_paise, write_off_rest=write_off_rest):
        return
    rest = sum(one.paid_paise - one.expected_paise for one in together)
    postings = postings_of(ResolutionKind.MATCH, together, tolerance_paise)
    assert sum(posting.paise for posting in postings) == 0
    lost = sum(posting.paise for posting in postings if str(posting.account) == "platform:write_offs")
    paid = -sum(posting.paise for posting in postings if str(posting.account) == "platform:bank")
    assert lost == (rest if abs(rest) > tolerance_paise else 0)
    assert paid == sum(one.paid_paise for one in together if one.kind == "unknown_delivery")
    assert write_off_rest or abs(rest) <= tolerance_paise


@pytest.mark.parametrize(("kind", "of", "expected"), [
    (ResolutionKind.WRITE_OFF, case(), {"platform:write_offs": 150, PAYEE: -150}),
    (ResolutionKind.WRITE_OFF, UNKNOWN, {"platform:write_offs": 150, "platform:bank": -150}),
    (ResolutionKind.RECOVER, UNKNOWN, {PAYEE: 150, "platform:bank": -150}),
    (ResolutionKind.DISMISS, UNKNOWN, {}),
    (ResolutionKind.PAY, replace(UNKNOWN, leg="cash"), {"platform:bank": 150, f"cash:{PARTNER}": -150}),
    (ResolutionKind.WRITE_OFF, case("underpaid", 150, 0), {PAYEE: 150, "platform:write_offs": -150}),
    (ResolutionKind.WRITE_OFF, case("late_adjustment", 0, 150), {"platform:write_offs": 150, PAYEE: -150}),
    (ResolutionKind.WRITE_OFF, case("cash_mismatch", 150, 0, leg="cash"), {
        "platform:write_offs": 150, f"cash:{PARTNER}": -150}),
    (ResolutionKind.WRITE_OFF, case("cash_mismatch", 0, 150, leg="cash"), {
        f"cash:{PARTNER}": 150, "platform:write_offs": -150}),
    (ResolutionKind.RECOVER, case(), {}),
    (ResolutionKind.RECOVER, case("cash_mismatch", 150, 0, leg="cash"), {}),
    (ResolutionKind.RECOVER, case("wrong_partner", 5_000, 5_000), {}),
    (ResolutionKind.PAY, case("cash_mismatch", 0, 150, leg="cash"), {}),
    (ResolutionKind.PAY, case("underpaid", 150, 0), {}),
    (ResolutionKind.ADJUST, case("late_adjustment", 0, 150), {}),
    (ResolutionKind.ADJUST, case("late_adjustment", 0, 0, evidence=GIVEN_UP), {
        "platform:write_offs": 150, PAYEE: -150}),
    (ResolutionKind.ADJUST, case("late_adjustment", 0, 50, evidence=GIVEN_UP), {
        "platform:write_offs": 150, PAYEE: -150}),
    (ResolutionKind.ADJUST, case("late_adjustment", 0, 0, leg="cash", evidence=GIVEN_UP), {
        f"cash:{PARTNER}": 150, "platform:write_offs": -150}),
    (ResolutionKind.DISMISS, case(), {}),
])  # fmt: skip
def test_what_a_resolution_is_worth(kind: ResolutionKind, of: Case, expected: dict[str, int]) -> None:
    assert refusal_of(kind, of) == ""
    assert booked(kind, of) == expected


@pytest.mark.parametrize(("kind", "of"), [
    (ResolutionKind.RECOVER, case("underpaid", 150, 0)),
    (ResolutionKind.RECOVER, case("late_adjustment", 0, 150)),
    (ResolutionKind.RECOVER, replace(UNKNOWN, payee="nobody")),
    (ResolutionKind.WRITE_OFF, case(payee="nobody")),
    (ResolutionKind.PAY, case()),
    (ResolutionKind.PAY, case("missing_payout", 150, 0)),
    (ResolutionKind.ADJUST, case()),
    (ResolutionKind.ADJUST, case("late_adjustment", 0, 0)),
    *((kind, case("late_adjustment", 0, 50, leg=leg, evidence=GIVEN_UP)) for leg in ("payout", "cash")
      for kind in ResolutionKind if kind is not ResolutionKind.ADJUST),
    (ResolutionKind.MATCH, case()),
    (ResolutionKind.WRITE_OFF, case("cash_mismatch", 150, 0, leg="cash", payee="network:fleet")),
])  # fmt: skip
def test_what_a_resolution_is_not_for(kind: ResolutionKind, of: Case) -> None:
    assert refusal_of(kind, of)


def test_several_lines_that_are_together_what_is_missing_match_it() -> None:
    missing, first, second = case("missing_payout", 5_000, 0), case("duplicate", 0, 2_000), case("overpaid", 0, 3_000)
    assert together_refusal([missing, first, second], 0, write_off_rest=False) == ""
    assert together_refusal([missing, first], 0, write_off_rest=False)
    assert together_refusal([missing, first], 3_000, write_off_rest=False) == ""
    assert together_refusal([missing], 0, write_off_rest=True)
    # Nothing was paid that could be what is owed.
    assert together_refusal([missing, missing], 10_000, write_off_rest=True)
    other = replace(first, payee=f"partner:{UUID(int=9)}")
    assert together_refusal([missing, other, second], 0, write_off_rest=False)
    assert together_refusal([missing, case("wrong_partner", 0, 5_000)], 0, write_off_rest=False)
    assert amount_of(ResolutionKind.MATCH, [missing, first, second], 0) == 0
    assert amount_of(ResolutionKind.MATCH, [missing, first], 0) == 3_000


def test_postings_are_in_the_cycles_of_the_city_that_their_party_works_in() -> None:
    def calendars(*cases: Case) -> set[str]:
        return calendars_of(postings_of(ResolutionKind.WRITE_OFF, cases, 0), {PARTNER: "BLR"}, ["BLR"])

    cash, other = case("cash_mismatch", 150, 0, leg="cash"), case(payee=f"partner:{UUID(int=9)}")
    network = case(payee="network:fleet")
    assert calendars(case(), cash) == {"BLR"}
    assert calendars(other, network) == {""}
    assert calendars(case(), other) == calendars(case(), network) == {"BLR", ""}
    # What is of no party is in nobody's cycles.
    assert calendars(UNKNOWN) == set()
    assert calendars_of(postings_of(ResolutionKind.WRITE_OFF, [case()], 0), {PARTNER: "BLR"}, ["MYS"]) == {""}


def test_a_match_gives_up_what_is_left_of_it() -> None:
    assert [kind for kind in ResolutionKind if gives_up(kind, 5)] == [ResolutionKind.MATCH, ResolutionKind.WRITE_OFF]
    assert not any(gives_up(kind, 0) for kind in ResolutionKind)


def test_whatever_gives_money_up_or_takes_it_back_is_checked() -> None:
    unchecked = {kind for kind in ResolutionKind if not is_checked(kind, [])}
    assert unchecked == {ResolutionKind.ADJUST}
    assert set(RULES) == set(ResolutionKind) - {ResolutionKind.MATCH}
    assert set(CLASSES) >= UNDONE
