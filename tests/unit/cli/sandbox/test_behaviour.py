from collections import Counter
from random import Random

import pytest
from pydantic import ValidationError

from cli.sandbox.behaviour import Behaviour, Faults


def test_each_fault_happens_to_its_share_and_the_same_seed_draws_the_same() -> None:
    faults = Faults(hang_share=0.1, reset_share=0.2, error_share=0.3)
    drawn = [faults.drawn(random) for random in [Random(7)] for _ in range(10_000)]
    counts = Counter(drawn)
    assert set(counts) == {"hang", "reset", "error", "none"}
    assert all(abs(counts[name] / 10_000 - share) < 0.02 for name, share in [("hang", 0.1), ("error", 0.3)])
    assert drawn == [faults.drawn(random) for random in [Random(7)] for _ in range(10_000)]


def test_without_faults_nothing_goes_wrong() -> None:
    assert {Behaviour().faults.drawn(Random(seed)) for seed in range(1_000)} == {"none"}


@pytest.mark.parametrize(
    "wrong", [{"hang_share": 1.5}, {"hang_share": 0.6, "error_share": 0.6}, {"unknown_share": 0.1}]
)
def test_what_cannot_happen_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Faults(**wrong)
