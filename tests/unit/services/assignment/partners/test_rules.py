"""Partners' rules: shift slots, homes, and what a partner carries."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.ids import new_id
from services.assignment.cities.city import City, MatchingPolicy
from services.assignment.deliveries.delivery import Point
from services.assignment.partners import rules
from services.assignment.partners.partner import Capacity, Load, Partner, Profile, Slot

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
CITY = City("BLR", "Bengaluru", "Asia/Kolkata", 12.97, 77.59, 30_000, MatchingPolicy(), 1, NOW)
PROFILE = Profile("", "Asha", "BLR", "bicycle", Capacity(3, 9_000, 90_000, 900), Point(12.97, 77.6), (), "by_offer")


def slot(from_min: int, until_min: int) -> Slot:
    return Slot(NOW + timedelta(minutes=from_min), NOW + timedelta(minutes=until_min))


def partner(load: Load) -> Partner:
    return Partner(new_id(), PROFILE, "online", (), load, 1, NOW, NOW)


def broken(*slots: Slot) -> list[tuple[str, str]]:
    return [(found.field, found.rule) for found in rules.slot_violations(slots, NOW)]


def test_slots_that_touch_are_fine_in_any_order() -> None:
    assert broken(slot(60, 120), slot(0, 60), slot(120, 121)) == []


def test_slots_that_overlap_are_named_by_their_given_places() -> None:
    assert broken(slot(60, 120), slot(0, 61)) == [("shift_slots[0]", "shift_slot.overlap")]


def test_a_slot_that_has_ended_is_refused_and_one_that_has_begun_is_not() -> None:
    assert broken(slot(-60, 0)) == [("shift_slots[0].end", "shift_slot.future")]
    assert broken(slot(-60, 1)) == []


def test_a_slot_lasts_a_day_at_most_and_a_moment_at_least() -> None:
    assert broken(slot(0, 24 * 60)) == []
    assert broken(slot(0, 24 * 60 + 1)) == [("shift_slots[0]", "shift_slot.length_max")]
    assert broken(slot(5, 5)) == [("shift_slots[0]", "time_window.order")]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 60)), max_size=8))
def test_slots_are_refused_exactly_when_two_share_a_minute(spans: list[tuple[int, int]]) -> None:
    slots = [slot(start, start + length) for start, length in spans]
    minutes = [minute for start, length in spans for minute in range(start, start + length)]
    assert bool(broken(*slots)) == (len(minutes) != len(set(minutes)))


@given(st.permutations([slot(0, 10), slot(10, 20), slot(30, 40)]))
def test_slots_are_stored_the_earliest_first(slots: list[Slot]) -> None:
    assert rules.in_order(slots) == (slot(0, 10), slot(10, 20), slot(30, 40))


def test_a_home_lies_in_its_city() -> None:
    assert rules.profile_violations(PROFILE, CITY) == []
    (far,) = rules.profile_violations(replace(PROFILE, home=Point(13.97, 77.59)), CITY)
    assert (far.field, far.rule) == ("profile.home", "city.service_area")
    (unknown,) = rules.profile_violations(PROFILE, None)
    assert (unknown.field, unknown.rule) == ("profile.city_code", "city.known")


@pytest.mark.parametrize(
    ("load", "changes"),
    [
        (Load(3, 1, 1), {"capacity": Capacity(2, 9_000, 90_000, 900)}),
        (Load(1, 9_000, 1), {"capacity": Capacity(3, 8_999, 90_000, 900)}),
        (Load(1, 1, 90_000), {"capacity": Capacity(3, 9_000, 89_999, 900)}),
        (Load(1, 1, 1), {"city_code": "DEL"}),
    ],
)
def test_what_a_partner_carries_forbids_less_room_and_another_city(load: Load, changes: dict[str, object]) -> None:
    profile = replace(PROFILE, **changes)  # type: ignore[arg-type]  # names are the fields'
    assert rules.why_busy(partner(load), profile)
    assert rules.why_busy(partner(Load()), profile) is None


def test_a_partner_that_carries_may_be_renamed() -> None:
    assert rules.why_busy(partner(Load(3, 9_000, 90_000)), replace(PROFILE, display_name="Asha R")) is None
