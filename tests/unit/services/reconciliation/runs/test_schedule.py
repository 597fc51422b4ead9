"""Every few minutes and once a night are the same schedule with other figures."""

from datetime import UTC, datetime, timedelta

import pytest

from services.reconciliation.runs.schedule import parse

NOW = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)


def test_continuous_runs_are_due_every_so_often() -> None:
    schedule = parse("every 300s")
    assert schedule.is_due(None, NOW)
    assert not schedule.is_due(NOW, NOW + timedelta(seconds=299))
    assert schedule.is_due(NOW, NOW + timedelta(seconds=300))


def test_nightly_runs_are_due_once_a_day_at_their_local_time() -> None:
    schedule = parse("daily 01:30+05:30")
    assert schedule.last_due(NOW) == datetime(2026, 11, 25, 20, tzinfo=UTC)
    assert schedule.is_due(NOW - timedelta(hours=1), NOW)
    assert not schedule.is_due(NOW - timedelta(minutes=20), NOW)


def test_never_is_never_and_nonsense_is_refused() -> None:
    assert not parse("never").is_due(None, NOW)
    for text in ("", "hourly", "every 0s", "daily 25:00+00:00", "daily 01:30"):
        with pytest.raises(ValueError, match="schedule"):
            parse(text)
