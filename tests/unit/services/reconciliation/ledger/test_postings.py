"""Entries sum to zero whatever was earned; what undoes one leaves nothing."""

from collections import Counter

import pytest
from hypothesis import given

from services.reconciliation.ledger.earnings import earnings_of
from services.reconciliation.ledger.facts import Trip
from services.reconciliation.ledger.postings import (
    BANK,
    EARNINGS,
    Account,
    AccountKind,
    Posting,
    UnbalancedError,
    UnknownAccountError,
    balanced,
    delivery_postings,
    remittance_postings,
    reversed_postings,
    top_up_postings,
)
from services.reconciliation.ledger.rates import RateTerms
from tests.ledger import MERCHANT, PARTNER, TERMS, trip
from tests.unit.services.reconciliation.ledger.test_earnings import ANY_TERMS, TRIPS


def balances(*entries: tuple[Posting, ...]) -> dict[str, int]:
    found = Counter[str]()
    for entry in entries:
        for posting in entry:
            found[str(posting.account)] += posting.paise
    return dict(found)


def test_an_evening_s_trip_on_every_account() -> None:
    found = balances(delivery_postings(trip(), "", earnings_of(trip(), TERMS)))
    assert found == {
        "platform:earnings": 10_507,
        f"partner:{PARTNER}": -10_402,
        "tax:tds": -105,
        f"merchant:{MERCHANT}": 12_509 + 2_252 - 49_900,
        "platform:fees": -12_509,
        "tax:gst": -2_252,
        f"cash:{PARTNER}": 49_900,
    }


def test_a_network_is_paid_for_the_partners_it_lends() -> None:
    found = balances(delivery_postings(trip(), "dunzo", earnings_of(trip(), TERMS)))
    assert found["network:dunzo"] == -10_402
    assert f"partner:{PARTNER}" not in found
    assert balances(top_up_postings(PARTNER, "dunzo", 70)) == {"platform:earnings": 70, "network:dunzo": -70}


def test_cash_that_is_handed_in_leaves_the_partner_s_hands() -> None:
    earned = delivery_postings(trip(), "", earnings_of(trip(), TERMS))
    found = balances(earned, remittance_postings(PARTNER, 49_900))
    assert found[f"cash:{PARTNER}"] == 0
    assert found[str(BANK)] == 49_900


@given(TRIPS, ANY_TERMS)
def test_an_entry_sums_to_zero_and_its_reverse_leaves_nothing(made: Trip, terms: RateTerms) -> None:
    entry = delivery_postings(made, "", earnings_of(made, terms))
    assert sum(posting.paise for posting in entry) == 0
    assert all(posting.paise for posting in entry)
    assert set(balances(entry, reversed_postings(entry)).values()) <= {0}


def test_what_does_not_balance_is_refused() -> None:
    with pytest.raises(UnbalancedError, match="sum to 1 paise"):
        balanced(Posting(EARNINGS, "earnings", 1))


@pytest.mark.parametrize(
    "text", ["", "partner", "partner:", "bank:hdfc", "tax:gst:1", "platform: fees", "tax:" + "x" * 65]
)
def test_what_names_no_account_is_refused(text: str) -> None:
    with pytest.raises(UnknownAccountError):
        Account.parse(text)


def test_an_account_is_what_it_is_spelt_as() -> None:
    assert Account.parse("network:dunzo_blr-1") == Account(AccountKind.NETWORK, "dunzo_blr-1")
    assert str(EARNINGS) == "platform:earnings"
