"""Who may see which accounts."""

import pytest

from libs.grpc_server.identity import Principal, Role
from services.reconciliation.ledger.postings import Account
from services.reconciliation.ledger.visibility import may_see

CALLERS = {
    "ops": Principal("o", Role.OPS),
    "partner": Principal("p", Role.PARTNER, partner_id="one"),
    "merchant": Principal("m", Role.MERCHANT, merchant_id="one"),
}


@pytest.mark.parametrize(
    ("account", "callers"),
    [
        ("partner:one", {"ops", "partner"}),
        ("cash:one", {"ops", "partner"}),
        ("merchant:one", {"ops", "merchant"}),
        ("partner:two", {"ops"}),
        ("cash:two", {"ops"}),
        ("merchant:two", {"ops"}),
        ("network:one", {"ops"}),
        ("platform:fees", {"ops"}),
        ("tax:gst", {"ops"}),
    ],
)
def test_an_account_is_for_ops_and_its_owner(account: str, callers: set[str]) -> None:
    assert {name for name, principal in CALLERS.items() if may_see(principal, Account.parse(account))} == callers
