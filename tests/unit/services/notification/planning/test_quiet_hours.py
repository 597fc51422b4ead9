"""Nobody is woken: what is not urgent waits for the end of the quiet hours by the recipient's own clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.planning.quiet_hours import QuietHours

NIGHT = QuietHours("Asia/Kolkata", 21 * 60, 8 * 60)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        ("2026-03-01T20:59:59+05:30", "2026-03-01T20:59:59+05:30"),
        ("2026-03-01T21:00:00+05:30", "2026-03-02T08:00:00+05:30"),
        ("2026-03-02T00:30:00+05:30", "2026-03-02T08:00:00+05:30"),
        ("2026-03-02T07:59:59+05:30", "2026-03-02T08:00:00+05:30"),
        ("2026-03-02T08:00:00+05:30", "2026-03-02T08:00:00+05:30"),
    ],
)
def test_a_night_is_waited_out(now: str, allowed: str) -> None:
    assert NIGHT.next_allowed(at(now)) == at(allowed)


def test_quiet_hours_within_a_day_and_none_at_all() -> None:
    noon = QuietHours("Asia/Kolkata", 12 * 60, 14 * 60)
    assert noon.next_allowed(at("2026-03-01T13:00:00+05:30")) == at("2026-03-01T14:00:00+05:30")
    assert noon.next_allowed(at("2026-03-01T23:00:00+05:30")) == at("2026-03-01T23:00:00+05:30")
    assert QuietHours("UTC", 60, 60).next_allowed(at("2026-03-01T01:00:00+00:00")) == at("2026-03-01T01:00:00+00:00")


@given(
    st.integers(0, 2 * 365 * 86_400).map(lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from(["Asia/Kolkata", "Europe/Berlin", "America/New_York", "UTC"]),
)
def test_what_is_allowed_is_never_earlier_never_a_day_away_and_allowed(
    now: datetime, from_min: int, until_min: int, zone: str
) -> None:
    hours = QuietHours(zone, from_min, until_min)
    allowed = hours.next_allowed(now)
    assert now <= allowed <= now + timedelta(hours=25)
    assert hours.next_allowed(allowed) - allowed <= timedelta(hours=1)
