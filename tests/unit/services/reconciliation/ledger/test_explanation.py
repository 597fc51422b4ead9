"""An explanation does an entry's arithmetic again from what it names, and says when that is not what is booked."""

from dataclasses import replace
from datetime import timedelta

from services.reconciliation.ledger.booking import EntryKind, Pay, pay
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.explanation import explain
from services.reconciliation.ledger.facts import trip_of
from services.reconciliation.ledger.postings import corrected_postings
from tests.ledger import EVENING, NAMES, STORY, TERMS, card, changes_of, event_ids, version_of


def entry() -> Entry:
    """What is booked for the evening's delivery."""
    trip = trip_of(changes_of())
    assert trip is not None
    paid = pay(trip, version_of(), lambda *_: card())
    assert isinstance(paid, Pay)
    return Entry(
        NAMES, EntryKind.EARNINGS, paid.cause_event_id, paid.event_ids, trip.delivery_id, trip.merchant_id,
        trip.partner_id, 1, card().id, None, None, EVENING, EVENING, paid.postings,
    )  # fmt: skip


def test_what_is_booked_is_what_the_arithmetic_gives() -> None:
    found = explain(entry(), (), changes_of(), version_of(), card())
    assert found is not None
    assert found.agrees
    assert sum(line.paise for line in found.lines if line.kind.value == "base") == TERMS.base_paise


def test_what_is_not_what_the_arithmetic_gives_is_said_to_be_so() -> None:
    dearer = card(replace(TERMS, base_paise=TERMS.base_paise + 1))
    found = explain(entry(), (), changes_of(), version_of(), dearer)
    assert found is not None
    assert not found.agrees


def test_without_the_events_that_it_names_nothing_is_explained() -> None:
    assert explain(entry(), (), changes_of()[1:], version_of(), card()) is None
    assert explain(entry(), (), changes_of(), None, card()) is None


def test_a_correction_is_what_the_arithmetic_gives_less_what_was_booked_before() -> None:
    changes = changes_of((*STORY, "delivered"))
    changes[-1] = replace(changes[-1], occurred_at=EVENING + timedelta(minutes=30))
    trip = trip_of(changes)
    assert trip is not None
    right = pay(trip, version_of(), lambda *_: card())
    assert isinstance(right, Pay)
    before = entry().postings
    correction = replace(
        entry(),
        kind=EntryKind.CORRECTION,
        event_ids=event_ids("", 1, 3, 4, 6, 7),
        postings=corrected_postings(before, right.postings),
    )
    found = explain(correction, before, changes, version_of(), card())
    assert found is not None
    assert found.agrees
    assert (found.lines, found.before) == (right.earnings.lines, before)
    assert any(line.kind.value == "late_penalty" for line in found.lines)
