"""Which partners each pickup is tried with."""

import numpy as np

from services.assignment.matching.horizon import candidates as module
from services.assignment.matching.horizon.candidates import Candidates
from tests.unit.services.assignment.matching.horizon.days import make_day, see

PARTNERS = [((100.0 * i, 0.0), 0.0, 300.0) for i in range(200)]


def test_a_small_town_is_tried_as_a_whole() -> None:
    day = make_day([(0, 0), (9000, 0)], [], PARTNERS[:5])
    found = Candidates(see(day, 0), np.array([0, 1]), 2, np.array([1, 1]))
    unit, partner = found.pairs(np.array([1, 0]))
    assert unit.tolist() == [0] * 5 + [1] * 5
    assert sorted(partner[:5].tolist()) == list(range(5))


def test_a_city_is_tried_with_the_nearest_idle_and_busy_partners(monkeypatch: object) -> None:
    day = make_day([(10_050, 0), (0, 0)], [], PARTNERS)
    free = [0.0 if i % 2 else 50.0 for i in range(200)]
    pairs_max, module.PAIRS_MAX = module.PAIRS_MAX, 10
    try:
        found = Candidates(see(day, 0, free_min=free), np.array([0, 1]), 3, np.array([1, 1]))
    finally:
        module.PAIRS_MAX = pairs_max
    _, partner = found.pairs(np.array([0]))
    assert {101, 99} < set(partner.tolist())
    assert {100, 102} < set(partner.tolist())
    assert len(partner) == 6
