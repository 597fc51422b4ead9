from datetime import UTC, datetime, timedelta

from services.notification.alerts.clock import Clock

START = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_clock_that_is_set_is_noticed_once_and_one_that_runs_is_not() -> None:
    now, ticks_s = [START], [100.0]
    clock = Clock(lambda: now[0], lambda: ticks_s[0])
    now[0], ticks_s[0] = START + timedelta(seconds=5), 105.0
    assert clock.look() == (now[0], timedelta())
    now[0], ticks_s[0] = START + timedelta(seconds=66), 106.0
    assert clock.look() == (now[0], timedelta(seconds=60))
    now[0], ticks_s[0] = START + timedelta(seconds=37), 107.0
    assert clock.look() == (now[0], timedelta(seconds=-30))
    now[0], ticks_s[0] = START + timedelta(seconds=38), 108.0
    assert clock.look() == (now[0], timedelta())
