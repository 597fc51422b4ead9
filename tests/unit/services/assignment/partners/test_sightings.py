"""Which reported positions are taken, and why the others are not."""

from datetime import UTC, datetime

from services.assignment.cities.city import City, MatchingPolicy
from services.assignment.partners.sightings import Refusal, Sighting, sort_out

BLR = City("BLR", "", "Asia/Kolkata", 12.97, 77.59, 30_000, MatchingPolicy(), 1, datetime(2026, 1, 1, tzinfo=UTC))


def sort(*sightings: Sighting | None, only: str | None = None) -> tuple[dict[str, list[Sighting]], dict[str, int]]:
    taken, refused = sort_out(
        sightings, city_of={"a": BLR, "b": BLR}, only_partner_id=only, earliest_ms=1_000, latest_ms=2_000
    )
    return taken, {reason.value: count for reason, count in refused.items()}


def test_a_fresh_position_in_the_partners_city_is_taken() -> None:
    sightings: list[Sighting] = [("a", 12.97, 77.59, 1_000), ("b", 12.98, 77.6, 2_000)]
    assert sort(*sightings) == ({"BLR": sightings}, {})


def test_each_refusal_has_its_reason() -> None:
    taken, refused = sort(
        None,
        ("nobody", 12.97, 77.59, 1_500),
        ("a", 12.97, 77.59, 2_001),
        ("a", 12.97, 77.59, 999),
        ("a", 28.6, 77.2, 1_500),
    )
    assert taken == {}
    assert refused == {"INVALID": 1, "UNKNOWN_PARTNER": 1, "IN_THE_FUTURE": 1, "TOO_OLD": 1, "OUTSIDE_CITY": 1}


def test_a_partner_reports_for_itself_only() -> None:
    taken, refused = sort(("a", 12.97, 77.59, 1_500), ("b", 12.97, 77.59, 1_500), only="a")
    assert [sighting[0] for sighting in taken["BLR"]] == ["a"]
    assert refused == {Refusal.NOT_YOURS: 1}
