"""What settling books sums to zero, and is named by what it is."""

from services.reconciliation.ledger.postings import BANK, Account
from services.reconciliation.settlements.booking import (
    cause_of,
    merchant_of,
    paid_postings,
    partner_of,
    remitted_postings,
)
from tests.ledger import MERCHANT, PARTNER

PARTIES = (Account.parse(f"partner:{PARTNER}"), Account.parse(f"merchant:{MERCHANT}"), Account.parse("network:dunzo"))


def test_money_that_leaves_the_bank_is_owed_no_more_and_owed_again_when_it_comes_back() -> None:
    for party in PARTIES:
        paid, back = paid_postings(party, 500), paid_postings(party, -500)
        assert {posting.account: posting.paise for posting in paid} == {party: 500, BANK: -500}
        assert sum(posting.paise for posting in (*paid, *back)) == 0


def test_cash_that_is_handed_in_leaves_the_partner_s_hands_and_a_network_is_owed_it() -> None:
    partner, _, network = (remitted_postings(party, 300) for party in (PARTIES[0], PARTIES[0], PARTIES[2]))
    assert {str(posting.account): posting.paise for posting in partner} == {
        "platform:bank": 300,
        f"cash:{PARTNER}": -300,
    }
    assert {str(posting.account): posting.paise for posting in network} == {"platform:bank": 300, "network:dunzo": -300}


def test_a_cause_is_the_same_for_the_same_parts_and_for_no_others() -> None:
    assert cause_of("payout", "LM1") == cause_of("payout", "LM1")
    assert len({cause_of("payout", "LM1"), cause_of("payout_return", "LM1"), cause_of("payout", "LM2")}) == 3


def test_whose_party_it_is() -> None:
    assert [partner_of(party) for party in PARTIES] == [PARTNER, None, None]
    assert [merchant_of(party) for party in PARTIES] == [None, MERCHANT, None]
