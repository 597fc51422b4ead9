from datetime import UTC, datetime
from uuid import uuid4

from services.notification.alerts.learning.facts import Match, NetworkPartner, Withdrawal, facts_of

AT = datetime(2026, 11, 25, tzinfo=UTC)


def test_the_latest_version_of_a_partner_and_the_last_match_of_a_delivery_count() -> None:
    partner, delivery = uuid4(), uuid4()
    newer, older = NetworkPartner(partner, "lent", 2), NetworkPartner(partner, "", 1)
    first, last = Match(delivery, AT), Match(delivery, AT.replace(hour=1))
    gone = Withdrawal(uuid4(), delivery, partner, uuid4(), AT)
    facts = facts_of([newer, older, first, gone, last])
    assert facts.partners == {partner: newer}
    assert facts.matches == {delivery: last}
    assert facts.withdrawals == [gone]
