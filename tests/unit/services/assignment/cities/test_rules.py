"""Cities' rules: time zones, and when two are the same."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.assignment.cities import rules
from services.assignment.cities.city import City, MatchingPolicy

CITY = City(
    "BLR", "Bengaluru", "Asia/Kolkata", 12.97, 77.59, 30_000, MatchingPolicy(), 1, datetime(2026, 1, 1, tzinfo=UTC)
)


@pytest.mark.parametrize("zone", ["Asia/Nowhere", "../etc/passwd", "asia/kolkata", "+05:30"])
def test_a_time_zone_must_be_one(zone: str) -> None:
    (found,) = rules.violations_of(replace(CITY, time_zone=zone))
    assert (found.field, found.rule) == ("city.time_zone", "time_zone.known")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "UTC", "Asia/Calcutta"])
def test_an_iana_zone_is_one(zone: str) -> None:
    assert rules.violations_of(replace(CITY, time_zone=zone)) == []


def test_cities_are_the_same_whenever_they_were_made() -> None:
    assert rules.same_content(CITY, replace(CITY, version=4, created_at=datetime(2027, 1, 1, tzinfo=UTC)))
    assert not rules.same_content(CITY, replace(CITY, policy=MatchingPolicy(window_ms=50)))
