"""What GST law says of states, registrations, years and places, as the rules have it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.papers.gst import (
    STATES,
    TaxKind,
    financial_year,
    gstin_problem,
    invoice_number,
    place_of_supply,
    split_tax,
)

KARNATAKA, MAHARASHTRA, CHANDIGARH = STATES["29"], STATES["27"], STATES["04"]


def test_every_state_and_territory_is_there_once() -> None:
    assert len(STATES) == 36
    assert len({state.letters for state in STATES.values()}) == 36
    assert {state.code for state in STATES.values() if state.local_tax is TaxKind.UTGST} == {
        "04",
        "26",
        "31",
        "35",
        "38",
    }


@pytest.mark.parametrize("gstin", ["27AAPFU0939F1ZV", "29AAGCB7383J1Z4", "24AAACC1206D1ZM"])
def test_gstins_of_public_record_are_right(gstin: str) -> None:
    assert gstin_problem(gstin) == ""


@pytest.mark.parametrize(
    "gstin", ["27AAPFU0939F1ZX", "72AAPFU0939F1ZV", "28AAPFU0939F1ZV", "27aapfu0939f1zv", "27AAPFU0939F1Z", ""]
)
def test_a_mistyped_gstin_is_told(gstin: str) -> None:
    assert gstin_problem(gstin)


@given(st.integers(0, 13), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_one_wrong_character_is_always_noticed(place: int, letter: str) -> None:
    right = "27AAPFU0939F1ZV"
    wrong = right[:place] + letter + right[place + 1 :]
    assert (gstin_problem(wrong) == "") == (wrong == right)


def test_a_registered_recipient_decides_the_place() -> None:
    assert place_of_supply(KARNATAKA, "27AAPFU0939F1ZV") is MAHARASHTRA
    assert place_of_supply(KARNATAKA, "") is KARNATAKA


def test_tax_within_a_state_is_halved_and_between_states_whole() -> None:
    assert split_tax(KARNATAKA, KARNATAKA, 1_801) == ((TaxKind.CGST, 901), (TaxKind.SGST, 900))
    assert split_tax(CHANDIGARH, CHANDIGARH, 1_800) == ((TaxKind.CGST, 900), (TaxKind.UTGST, 900))
    assert split_tax(KARNATAKA, MAHARASHTRA, 1_801) == ((TaxKind.IGST, 1_801),)


@given(st.integers(-(10**12), 10**12), st.sampled_from(list(STATES.values())), st.sampled_from(list(STATES.values())))
def test_the_parts_of_a_tax_are_the_tax(tax_paise: int, supplier: object, place: object) -> None:
    parts = split_tax(supplier, place, tax_paise)
    assert sum(paise for _, paise in parts) == tax_paise
    assert max(paise for _, paise in parts) - min(paise for _, paise in parts) <= 1
    assert split_tax(supplier, place, -tax_paise) == tuple((kind, -paise) for kind, paise in parts)


def test_a_financial_year_begins_in_april() -> None:
    assert [financial_year(date(2026, month, 1)) for month in (1, 3, 4, 12)] == [2025, 2025, 2026, 2026]


@given(st.sampled_from(list(STATES.values())), st.integers(2017, 2098), st.integers(1, 999_999))
def test_an_invoice_number_has_at_most_sixteen_characters(state: object, year: int, number: int) -> None:
    assert len(invoice_number(state, year, number)) <= 16
    assert invoice_number(KARNATAKA, 2026, 123) == "KA/26-27/000123"
    assert invoice_number(KARNATAKA, 2099, 1) == "KA/99-00/000001"
