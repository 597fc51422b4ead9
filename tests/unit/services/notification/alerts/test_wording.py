from dataclasses import replace
from datetime import UTC, datetime, timedelta

from libs.ids import new_id
from services.notification.alerts import wording
from services.notification.alerts.alert import COUNTED_MAX, Alert, Impact, Key, Kind, Symptom
from services.notification.alerts.lifecycle import TRANSITIONS, AlertState, sources_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = Key(Kind.NETWORK, "network:lent")
OPEN = frozenset({Symptom.CIRCUIT_OPEN})
IMPACT = Impact(partners=12, offers_withdrawn=132, deliveries_rematched=1, merchants=3)
ROUTES = {"sms": ["twilio", "other"], "email": ["twilio"]}
ALERT = Alert(
    new_id(), KEY, AlertState.OPEN, OPEN, "1 of 1 processes have stopped calling it: no answer",
    wording.action_of(KEY, OPEN, IMPACT, 5_000, ROUTES), IMPACT, NOW, NOW, "", None, None, 0, 1,
)  # fmt: skip


def test_ops_are_told_what_since_when_who_and_what_is_done() -> None:
    assert wording.ops_text(ALERT, NOW).splitlines() == [
        "What: partner network lent: 1 of 1 processes have stopped calling it: no answer.",
        "Since: 2026-11-25 12:00:00 UTC.",
        "Affected: 3 merchants, 12 partners, 132 offers taken back, 1 delivery offered again.",
        (
            "Done about it: 12 partners of it are out of matching; 132 unanswered offers were taken back, and "
            "1 delivery of those offered to others; it is probed every 5 s, and gets its share back step by step."
        ),
    ]


def test_the_recovery_notice_says_so_first() -> None:
    over = replace(ALERT, state=AlertState.RECOVERED, recovered_at=NOW + timedelta(minutes=7), relapses=1)
    lines = wording.ops_text(over, NOW + timedelta(minutes=7)).splitlines()
    assert lines[0] == "It is over, after 7 minutes."
    assert lines[-1] == "It seemed over 1 time before."


def test_what_is_done_about_a_provider_names_who_carries_on() -> None:
    key = Key(Kind.PROVIDER, "notification.twilio")
    said = wording.action_of(key, OPEN, Impact(), 2_500, ROUTES)
    assert said.startswith("email waits for it; sms goes to other; it is probed every 2.5 s")
    assert wording.action_of(key, frozenset({Symptom.SLOW}), Impact(), 0, ROUTES).startswith("it is asked as before")


def test_a_merchant_is_told_of_its_own_and_of_nobody_else() -> None:
    text = wording.merchant_text(ALERT, 4)
    assert "4 of your deliveries" in text
    assert not any(word in text for word in ("lent", "132", "3 merchants", "no answer"))


def test_counts_that_stop_say_so() -> None:
    assert wording.affected(Impact(messages_waiting=COUNTED_MAX)) == "10,000 or more messages waiting"
    assert wording.affected(Impact()) == "nobody so far"


def test_the_table_of_states_ends_where_it_should() -> None:
    assert sources_of(AlertState.RECOVERED) == [AlertState.OPEN, AlertState.ACKNOWLEDGED]
    assert {t.from_state for t in TRANSITIONS} == set(AlertState) - {AlertState.RECOVERED}
