"""A company is registered once in a state, and its registrations are right."""

import pytest

from services.reconciliation.papers.company import Company, Registration
from tests.papers import COMPANY, MUMBAI


def test_a_company_is_read_from_json_and_found_by_state() -> None:
    assert Company.model_validate_json(COMPANY.model_dump_json()) == COMPANY
    found = COMPANY.registration("27")
    assert found is not None
    assert found.city_codes == (MUMBAI,)
    assert COMPANY.registration("33") is None
    assert Company().registration("29") is None


def test_what_does_not_fit_together_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="one registration"):
        Company(legal_name="x", registrations=COMPANY.registrations[:1] * 2)
    with pytest.raises(ValueError, match="legal_name"):
        Company(registrations=COMPANY.registrations)
    with pytest.raises(ValueError, match="check digit"):
        Registration(gstin="29AAACL1234C1Z2", address="x", city_codes=("BLR",))
