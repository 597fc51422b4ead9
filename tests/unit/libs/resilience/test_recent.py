import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.resilience.recent import WINDOW_S, Recent, RecentCalls


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def attempt(recent: Recent, clock: Clock, took_s: float, *, failed: bool = False, answered: bool = True) -> None:
    name = recent.begin()
    clock.now_s += took_s
    recent.end(name, answered=answered, failed=failed)


def test_attempts_are_counted_and_forgotten_after_the_window(clock: Clock) -> None:
    recent = Recent(clock)
    for index in range(100):
        attempt(recent, clock, 0.01, failed=index % 4 == 0)
    known = recent.summary()
    assert (known.calls, known.failures) == (100, 25)
    assert 10 <= known.p99_ms <= 13
    clock.now_s += WINDOW_S + 1
    assert recent.summary() == RecentCalls()


def test_silence_is_as_long_as_no_attempt_was_answered_through_their_time_limits(clock: Clock) -> None:
    recent = Recent(clock)
    attempt(recent, clock, 0.1)
    for _ in range(3):
        attempt(recent, clock, 1.0, answered=False, failed=True)
    waiting = recent.begin()
    clock.now_s += 0.5
    assert recent.summary().silent_ms == 3_500
    recent.end(waiting, answered=True, failed=False)
    assert recent.summary().silent_ms == 0


def test_who_was_idle_is_not_silent(clock: Clock) -> None:
    recent = Recent(clock)
    attempt(recent, clock, 1.0, answered=False, failed=True)
    clock.now_s += 3_600
    recent.begin()
    clock.now_s += 0.2
    assert recent.summary().silent_ms == 200


def test_a_withdrawn_attempt_counts_for_nothing(clock: Clock) -> None:
    recent = Recent(clock)
    recent.withdraw(recent.begin())
    clock.now_s += 60
    recent.begin()
    assert recent.summary() == RecentCalls(under_way=1)


@given(st.lists(st.floats(0, 30), min_size=1, max_size=50))
def test_the_p99_is_never_too_low_and_at_most_a_quarter_too_high(durations_s: list[float]) -> None:
    clock = Clock()
    recent = Recent(clock)
    names = [recent.begin() for _ in durations_s]
    for name, took_s in sorted(zip(names, durations_s, strict=True), key=lambda one: one[1]):
        clock.now_s = 1_000.0 + took_s
        recent.end(name, answered=True, failed=False)
    kept = [took_s for took_s in durations_s if int(1_000.0 + took_s) > clock.now_s - WINDOW_S]
    kept.sort()
    true_ms = kept[max(0, -(-len(kept) * 99 // 100) - 1)] * 1000
    p99_ms = recent.summary().p99_ms
    assert true_ms - 1 <= p99_ms <= max(1.5, true_ms * 1.25) + 1
