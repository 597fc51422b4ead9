"""From a fact to messages: to whom, how, when; and the same each time."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from services.notification.planning.quiet_hours import QuietHours
from services.notification.planning.rules import (
    ALERT_OVER,
    ALERT_RAISED,
    BULK,
    FIRST,
    OPS,
    RULES,
    URGENT,
    Contact,
    Fact,
    plan,
    wants,
)

NOON = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 1, 18, 30, tzinfo=UTC)
NIGHT = QuietHours("Asia/Kolkata", 21 * 60, 8 * 60)


def contact(audience: str, *channels: str, opted_out: str = "", muted: str = "") -> Contact:
    out = frozenset({opted_out} - {""})
    return Contact(uuid4(), audience, uuid4(), "en", NIGHT, frozenset(channels), out, frozenset({muted} - {""}))


def fact(status: str, at: datetime = NOON) -> Fact:
    return Fact(uuid4(), status, at, {})


def told(status: str, *contacts: Contact, now: datetime = NOON) -> list[tuple[str, str]]:
    return [(message.recipient.audience, message.channel) for message in plan(fact(status, now), contacts, now)]


def test_each_audience_is_told_over_what_it_has() -> None:
    both, text = contact("customer", "sms", "email"), contact("customer", "sms")
    assert told("delivered", both) == [("customer", "sms"), ("customer", "email")]
    assert told("delivered", text) == [("customer", "sms")]
    assert told("attempt_failed", text, contact("merchant", "email", "webhook")) == [
        ("customer", "sms"), ("merchant", "email"), ("merchant", "webhook"),
    ]  # fmt: skip
    assert told("delivered") == []


def test_who_opted_out_or_muted_a_status_is_not_told() -> None:
    assert told("delivered", contact("customer", "sms", "email", opted_out="sms")) == [("customer", "email")]
    assert told("delivered", contact("customer", "sms", muted="delivered")) == []


def test_what_is_urgent_is_sent_at_night_and_the_rest_in_the_morning() -> None:
    customer = contact("customer", "sms")
    (urgent,) = plan(fact("out_for_delivery", MIDNIGHT), [customer], MIDNIGHT)
    (later,) = plan(fact("delivered", MIDNIGHT), [customer], MIDNIGHT)
    assert (urgent.priority, urgent.send_after) == (URGENT, MIDNIGHT)
    assert later.send_after == datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
    assert later.expires_at > later.send_after


def test_news_that_came_too_late_is_not_planned() -> None:
    customer = contact("customer", "sms")
    assert list(plan(fact("out_for_delivery"), [customer], NOON + timedelta(hours=5))) == []
    assert len(list(plan(fact("out_for_delivery"), [customer], NOON + timedelta(hours=3)))) == 1


def test_what_is_planned_late_is_of_use_no_longer_than_had_it_been_planned_at_once() -> None:
    late = NOON + timedelta(minutes=9)
    (offer,) = plan(fact("offered"), [contact("partner", "sms")], late)
    (news,) = plan(fact("delivered"), [contact("customer", "sms")], late)
    assert (offer.expires_at, news.expires_at) == (NOON + timedelta(minutes=10), NOON + timedelta(days=1))


def test_planning_again_gives_the_same() -> None:
    said, who = fact("attempt_failed"), [contact("customer", "sms", "email"), contact("merchant", "email")]
    assert list(plan(said, who, NOON)) == list(plan(said, who, NOON))


def test_no_two_rules_make_the_same_message_and_digests_are_never_urgent() -> None:
    uses = [(rule.status, rule.audience, channel) for rule in RULES for channel in rule.channels]
    assert len(uses) == len(set(uses))
    assert all(rule.priority <= BULK and not (rule.digestible and rule.priority <= URGENT) for rule in RULES)
    # An outage that keeps everything waiting must not keep its own alarm.
    first = {rule.status for rule in RULES if rule.priority == FIRST}
    assert first == {ALERT_RAISED, ALERT_OVER}
    assert {rule.audience for rule in RULES if rule.priority == FIRST} == {OPS}
    assert wants("offered", "partner")
    assert not wants("offered", "customer")
