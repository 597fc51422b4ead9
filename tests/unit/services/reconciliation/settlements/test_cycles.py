"""Cycles follow one another without a gap, at a time of local clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.settlements.cycles import parse

NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
TEXTS = ("daily 00:00+05:30", "weekly mon 00:00+05:30", "weekly sun 23:30-03:00", "every 3 days 06:15+05:30")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - timezones adds it


def test_a_week_ends_on_its_day_at_local_midnight() -> None:
    # Monday, 23 November 2026, midnight in India.
    assert parse("weekly mon 00:00+05:30").last_end(NOW) == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
    assert parse("daily 00:00+05:30").last_end(NOW) == datetime(2026, 11, 25, 18, 30, tzinfo=UTC)
    assert parse("never").last_end(NOW) is None
    assert parse("never").due(None, NOW) is None


@given(st.sampled_from(TEXTS), MOMENTS)
def test_an_end_is_not_after_its_moment_and_less_than_a_cycle_before(text: str, at: datetime) -> None:
    calendar = parse(text)
    assert calendar.length is not None
    end = calendar.last_end(at)
    assert end is not None
    assert end <= at < end + calendar.length
    assert calendar.last_end(end) == end


@given(st.sampled_from(TEXTS), MOMENTS, st.integers(0, 400))
def test_cycles_that_were_missed_are_made_up_for_one_by_one_without_a_gap(text: str, now: datetime, days: int) -> None:
    calendar = parse(text)
    first = calendar.due(None, now)
    assert first is not None
    assert first[1] <= now
    until, later = first[1], now + timedelta(days=days)
    while span := calendar.due(until, later):
        assert span[0] == until
        assert span[1] - span[0] == calendar.length
        until = span[1]
    assert until == calendar.last_end(later)


def test_a_cycle_that_was_ended_on_demand_is_followed_by_a_shorter_one() -> None:
    calendar = parse("daily 00:00+05:30")
    noon = datetime(2026, 11, 25, 6, 30, tzinfo=UTC)
    assert calendar.due(noon, NOW) == (noon, datetime(2026, 11, 25, 18, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weekly",
        "weekly xyz 00:00+05:30",
        "daily 24:00+05:30",
        "every 0 days 00:00+05:30",
        "every 93 days 00:00+00:00",
    ],
)
def test_what_is_no_cycle_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no cycle"):
        parse(text)
