import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from libs.embedded.backoff import BackoffPolicy

POLICY = BackoffPolicy(min_s=0.2, max_s=15.0, stable_run_s=30.0)


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_a_delay_stays_within_its_bounds(failures: int, seed: int) -> None:
    assert POLICY.min_s / 2 <= POLICY.delay_s(failures, random.Random(seed)) <= POLICY.max_s


def test_delays_double_up_to_the_longest() -> None:
    longest = [max(POLICY.delay_s(failures, random.Random(seed)) for seed in range(500)) for failures in range(1, 12)]
    for shorter, longer in itertools.pairwise(longest):
        assert longer > 1.9 * shorter or longer > 0.95 * POLICY.max_s


def test_processes_that_die_together_do_not_restart_together() -> None:
    assert len({POLICY.delay_s(5, random.Random(seed)) for seed in range(20)}) == 20


@given(failures=st.integers(0, 1_000), ran_s=st.floats(0, 1e6))
def test_a_stable_run_forgives_earlier_failures(failures: int, ran_s: float) -> None:
    assert POLICY.failures_after(failures, ran_s) == (1 if ran_s >= 30.0 else failures + 1)
