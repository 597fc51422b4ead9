"""Terms come back from their JSON as they went in, whatever they are."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.ledger.rates import RateTerms
from services.reconciliation.rate_cards.codec import card_to, terms_from
from services.reconciliation.rate_cards.terms import terms_from_json, terms_to_json
from tests.ledger import TERMS, card
from tests.unit.services.reconciliation.ledger.test_earnings import ANY_TERMS


@given(ANY_TERMS)
def test_terms_survive_their_storage(terms: RateTerms) -> None:
    assert terms_from_json(json.loads(json.dumps(terms_to_json(terms)))) == terms


def test_a_term_that_is_younger_than_the_version_has_its_default() -> None:
    stored = terms_to_json(TERMS)
    del stored["tds_bp"]
    assert terms_from_json(stored).tds_bp == 0


@given(ANY_TERMS, st.integers(-840, 840))
def test_terms_survive_their_message(terms: RateTerms, utc_offset_min: int) -> None:
    meant = replace(terms, utc_offset_min=utc_offset_min)
    assert terms_from(card_to(card(meant)).terms) == meant
