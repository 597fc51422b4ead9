import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.postgres.log_clock import ClockLimits, LogClock


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> LogClock:
    return LogClock(ClockLimits(remembered_s=100), hands)


def test_what_covers_a_position_is_as_old_as_the_last_look_that_saw_no_more(clock: LogClock, hands: Hands) -> None:
    for at_s, position in ((1.0, 10), (2.0, 20), (3.0, 20), (4.0, 30)):
        clock.note(at_s, position)
    hands.now_s = 5.0
    assert [clock.age_ms(position) for position in (9, 10, 19, 20, 29, 30, 99)] == [
        None, 4_000, 4_000, 2_000, 2_000, 1_000, 1_000,
    ]  # fmt: skip


def test_while_the_primary_is_away_answers_grow_old_and_fall_no_further_behind(clock: LogClock, hands: Hands) -> None:
    clock.note(1.0, 10)
    clock.note(2.0, 20)
    hands.now_s = 62.0
    assert (clock.age_ms(20), clock.behind_ms(20)) == (60_000, 0)
    assert (clock.age_ms(15), clock.behind_ms(15)) == (61_000, 1_000)


def test_positions_that_go_back_begin_anew(clock: LogClock, hands: Hands) -> None:
    clock.note(1.0, 1_000)
    clock.note(2.0, 10)
    hands.now_s = 3.0
    assert clock.age_ms(5) is None
    assert clock.age_ms(10) == 1_000


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 50)), min_size=1, max_size=200), st.integers(0, 5_000))
def test_the_age_is_that_of_the_plain_definition_however_much_is_forgotten(
    steps: list[tuple[float, int]], asked: int
) -> None:
    hands = Hands()
    clock = LogClock(ClockLimits(remembered_s=20), hands)
    seen: list[tuple[float, int]] = []
    at_s, position = 0.0, 100
    for wait_s, more in steps:
        at_s, position = at_s + wait_s, position + more
        clock.note(at_s, position)
        seen.append((at_s, position))
    hands.now_s = at_s
    covered = [when for when, where in seen if where <= asked]
    found = clock.age_ms(asked)
    plain = int((at_s - max(covered)) * 1000) if covered else None
    if plain is not None and plain <= 20_000:
        assert found == plain
    else:
        assert found is None or found == plain


def test_a_position_that_the_log_has_not_come_to_is_told_from_one_that_nobody_looked_for(clock: LogClock) -> None:
    assert not clock.has_not_come_to(50, 0.0)
    clock.note(1.0, 10)
    assert clock.has_not_come_to(50, 0.5)
    assert not clock.has_not_come_to(50, 1.5), "it may have come there since"
    assert not clock.has_not_come_to(10, 0.5)
