"""Capacities of the generalized assignment problem: the optimum where it is an assignment, else a true bound."""

import numpy as np
import pytest

from services.assignment.matching.certificate import verify
from services.assignment.matching.match import match
from services.assignment.matching.pipeline import LEFT_OUT_MS
from tests.unit.services.assignment.matching.gap_instances import TYPES, Gap, instance, optimum

SIZES = ((5, 25), (8, 48), (10, 60), (20, 100))


def carried(gap: Gap, partner: np.ndarray) -> np.ndarray:
    """(agents,): what each carries, in grams."""
    return np.bincount(partner[partner >= 0], gap.weight[partner >= 0], minlength=len(gap.room))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("grams", [1, 7])
def test_jobs_that_weigh_the_same_are_an_assignment_and_matched_at_their_optimum(kind: str, grams: int) -> None:
    left_out = 0
    for seed, (agents, jobs) in enumerate(SIZES * 3):
        gap = instance(kind, agents, jobs, seed, weight=grams)
        problem, book = gap.problem(parcels_left=gap.room // gap.weight[0])
        result, best = match(problem, book=book), optimum(gap)
        assert best.proven
        assert result.optimal
        verify(problem, book, result.partner, result.certificate)
        assert (carried(gap, result.partner) <= gap.room).all()
        assert int((result.partner < 0).sum()) == best.left_out
        assert result.certificate.matched_ms == best.cost
        left_out += best.left_out
    assert left_out or kind == "A", "no recipe but A's has room for everybody"


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("spare", [1.0, 1.5])
def test_jobs_of_their_own_weights_are_carried_within_the_room_and_above_a_true_bound(kind: str, spare: float) -> None:
    for seed in range(8):
        gap = instance(kind, 3, 12, seed, spare=spare)
        problem, book = gap.problem()
        result, best = match(problem, book=book), optimum(gap)
        assert best.proven
        assert (carried(gap, result.partner) <= gap.room).all()
        matched = np.flatnonzero(result.partner >= 0)
        assert (np.rint(result.cost_s[matched] * 1000) == gap.cost[result.partner[matched], matched]).all()
        reached = (int((result.partner < 0).sum()), round(result.total_cost_s * 1000))
        assert reached >= (best.left_out, best.cost)
        assert result.certificate.lower_bound_ms <= best.cost + int(LEFT_OUT_MS) * best.left_out
        if result.optimal:
            assert reached == (best.left_out, best.cost)
