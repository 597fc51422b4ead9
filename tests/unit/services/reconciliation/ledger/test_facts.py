"""A trip is read from a delivery's changes in any order; the last partner, pickup and hand-over count."""

import itertools
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from services.reconciliation.ledger.facts import distance_m, is_whole, latest, trip_of, version_at
from tests.ledger import DELIVERY, EVENING, MERCHANT, NAMES, PARTNER, STORY, changes_of, trip, version_of


def test_a_trip_is_the_same_in_whatever_order_its_changes_came() -> None:
    changes = changes_of()
    expected = trip(waited_s=1_200)
    for order in itertools.islice(itertools.permutations(changes), 0, None, 37):
        assert trip_of(order) == expected


def test_a_trip_again_from_only_the_events_that_its_entry_names() -> None:
    changes = changes_of()
    made = trip_of(changes)
    assert made is not None
    assert trip_of([change for change in changes if change.event_id in made.event_ids]) == made


def test_the_partner_who_carried_it_counts_and_not_one_who_gave_it_back() -> None:
    other = NAMES
    states = ("pending", "assigned", "pending", "assigned", "picked_up", "out_for_delivery", "attempt_failed",
              "out_for_delivery", "delivered")  # fmt: skip
    changes = changes_of(states)
    changes[1] = replace(changes[1], partner_id=other)
    made = trip_of(random.Random(1).sample(changes, len(changes)))
    assert made is not None
    assert (made.partner_id, made.merchant_id, made.delivery_id) == (PARTNER, MERCHANT, DELIVERY)


@pytest.mark.parametrize("missing", ["pending", "assigned", "picked_up", "delivered"])
def test_a_story_without_one_of_its_turns_is_no_trip(missing: str) -> None:
    assert trip_of([change for change in changes_of() if change.state != missing]) is None
    assert trip_of([]) is None


def test_a_hole_is_seen_wherever_it_is() -> None:
    changes = changes_of()
    assert is_whole(changes)
    assert is_whole(changes[:3])
    assert not is_whole([])
    for place in range(len(STORY) - 1):
        assert not is_whole(changes[:place] + changes[place + 1 :])
    assert latest(changes[::-1]).state == "delivered"


def test_a_partner_is_what_it_was_when_it_handed_over() -> None:
    before, after = version_of(), version_of(version=2, vehicle="car", changed_at=EVENING + timedelta(seconds=1))
    assert version_at([after, before], EVENING) == before
    assert version_at([after, before], EVENING + timedelta(seconds=1)) == after
    assert version_at([after], EVENING) == after
    assert version_at([], EVENING) is None


def test_a_degree_of_the_equator_is_111_km() -> None:
    assert distance_m(0, 0, 0, 1) == 111_195
    assert distance_m(12.97, 77.59, 12.97, 77.59) == 0
    assert distance_m(0, 0, 0, 180) == 20_015_114
