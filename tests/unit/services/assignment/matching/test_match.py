"""The matching core against references that are too slow to ship."""

import itertools
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from services.assignment.matching.costs import Lost, build
from services.assignment.matching.geography import cells, zone_cell
from services.assignment.matching.match import NO_PARTNERS, OUTCOMPETED, match
from services.assignment.matching.problem import Policy, ProblemError
from services.assignment.matching.solver import UNASSIGNED, solve
from tests.unit.services.assignment.matching.problems import NOW_S, judge, random_problem

POLICY = Policy()
sizes = st.integers(0, 12)
seeds = st.integers(0, 2**32 - 1)


@given(seeds, sizes, sizes)
def test_every_pair_costs_and_fails_as_the_reference_says(seed: int, n: int, m: int) -> None:
    packages, partners = random_problem(seed, n, m)
    built = build(packages, partners, POLICY, NOW_S)
    for i, j in itertools.product(range(n), range(m)):
        reason, cost_s = judge(packages, partners, POLICY, i, j)
        assert built.lost[i, j] == reason
        assert built.cost_s[i, j] == pytest.approx(cost_s, abs=1e-6) or reason is not Lost.FEASIBLE
        assert np.isfinite(built.cost_s[i, j]) == (reason is Lost.FEASIBLE)


def brute_force(cost_s: np.ndarray, slots: np.ndarray) -> tuple[int, float]:
    """The most packages, and their least cost, over every possible matching."""
    best = (0, 0.0)
    for choice in itertools.product(range(-1, cost_s.shape[1]), repeat=len(cost_s)):
        used = Counter(j for j in choice if j >= 0)
        if any(used[j] > slots[j] for j in used):
            continue
        taken = [cost_s[i, j] for i, j in enumerate(choice) if j >= 0]
        if np.isfinite(taken).all():
            best = max(best, (len(taken), -float(np.sum(taken))))
    return best[0], -best[1]


@settings(max_examples=150)
@given(seeds, st.integers(0, 5), st.integers(0, 4), st.booleans())
def test_the_matching_is_the_best_of_all_matchings(seed: int, n: int, m: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    cost_s = random.integers(1, 4 if ties else 1000, (n, m)).astype(float)
    cost_s[random.random((n, m)) < 0.3] = np.inf
    slots = random.integers(0, 3, m)
    assigned = solve(cost_s, slots)
    taken = np.flatnonzero(assigned != UNASSIGNED)
    assert (len(taken), cost_s[taken, assigned[taken]].sum()) == pytest.approx(brute_force(cost_s, slots))


@given(seeds, st.integers(1, 30), st.integers(1, 30))
def test_without_limits_the_cost_is_that_of_linear_sum_assignment(seed: int, n: int, m: int) -> None:
    cost_s = np.random.default_rng(seed).integers(1, 10**6, (n, m)) / 1000
    rows, columns = linear_sum_assignment(cost_s)
    assigned = solve(cost_s, np.ones(m, dtype=np.int64))
    taken = np.flatnonzero(assigned != UNASSIGNED)
    assert len(taken) == len(rows)
    assert cost_s[taken, assigned[taken]].sum() == pytest.approx(cost_s[rows, columns].sum())


@given(seeds, st.integers(0, 40), st.integers(0, 15))
def test_no_partner_gets_more_than_it_can_carry_and_every_reason_is_true(seed: int, n: int, m: int) -> None:
    packages, partners = random_problem(seed, n, m)
    result = match(packages, partners, POLICY, NOW_S, time.perf_counter)
    for j in range(m):
        mine = np.flatnonzero(result.partner == j)
        assert len(mine) <= partners.parcels_left[j]
        assert packages.weight_g[mine].sum() <= partners.weight_g_left[j] or not len(mine)
        assert packages.volume_cm3[mine].sum() <= partners.volume_cm3_left[j] or not len(mine)
    for i, explanation in enumerate(result.explanations):
        judged = [judge(packages, partners, POLICY, i, j) for j in range(m)]
        assert explanation.partners_lost == Counter(r.name for r, _ in judged if r)
        assert explanation.partners_feasible == sum(r is Lost.FEASIBLE for r, _ in judged)
        assert (explanation.chosen is not None) == (result.partner[i] != UNASSIGNED)
        if explanation.chosen is not None:
            assert explanation.chosen.partner == result.partner[i]
            assert sum(explanation.chosen.terms_s.values()) == pytest.approx(explanation.chosen.cost_s)
        elif not explanation.partners_feasible:
            assert explanation.reason in ({NO_PARTNERS} if m == 0 else set(explanation.partners_lost))
        else:
            assert explanation.reason == OUTCOMPETED
        others = sorted(c for j, (r, c) in enumerate(judged) if r is Lost.FEASIBLE and j != result.partner[i])
        assert [a.cost_s for a in explanation.alternatives] == pytest.approx(others[:3])


@given(seeds)
def test_the_same_problem_has_the_same_answer(seed: int) -> None:
    first, second = (match(*random_problem(seed, 30, 10), POLICY, NOW_S, time.perf_counter) for _ in range(2))
    assert first.partner.tolist() == second.partner.tolist()
    assert first.explanations == second.explanations


@pytest.mark.parametrize("column", ["pickup_lat", "weight_g", "ready_at_s"])
def test_a_broken_column_is_refused_by_name_and_row(column: str) -> None:
    packages, _ = random_problem(1, 5, 5)
    values = getattr(packages, column).astype(float)
    values[3] = np.nan
    with pytest.raises(ProblemError) as refused:
        replace(packages, **{column: values})
    assert (refused.value.field, refused.value.row) == (column, 3)


def test_duplicate_ids_and_too_many_pairs_are_refused() -> None:
    packages, partners = random_problem(1, 5, 5)
    with pytest.raises(ProblemError, match="stands twice"):
        replace(packages, ids=["same"] * 5)
    with pytest.raises(ProblemError, match="25 package-partner pairs"):
        build(packages, partners, Policy(pairs_max=24), NOW_S)


def test_a_geohash_cell_starts_with_its_prefix() -> None:
    # Published example: 57.64911, 10.40744 is u4pruydqqvj.
    assert cells(np.array([57.64911]), np.array([10.40744])).tolist() == [zone_cell("u4pruyd")]


def test_partners_who_could_take_nothing_at_all_are_counted_as_lost() -> None:
    packages, partners = random_problem(3, 2, 0)
    result = match(packages, partners, POLICY, NOW_S, time.perf_counter, {"OFFLINE": 5, "NO_PARCELS_LEFT": 2})
    assert [e.reason for e in result.explanations] == ["NO_PARCELS_LEFT"] * 2
    assert result.explanations[0].outcome == "NO_FEASIBLE_PARTNER"
    assert result.explanations[0].partners_lost == {"OFFLINE": 5, "NO_PARCELS_LEFT": 2}


def test_a_city_whose_partners_are_all_at_home_says_so() -> None:
    packages, partners = random_problem(3, 1, 0)
    result = match(packages, partners, POLICY, NOW_S, time.perf_counter, {"OFFLINE": 5})
    assert result.explanations[0].reason == "OFFLINE"


def test_absent_partners_come_on_top_of_those_who_were_considered() -> None:
    packages, partners = random_problem(3, 4, 3)
    alone = match(packages, partners, POLICY, NOW_S, time.perf_counter)
    together = match(packages, partners, POLICY, NOW_S, time.perf_counter, {"OFFLINE": 7})
    for before, after in zip(alone.explanations, together.explanations, strict=True):
        assert after.partners_lost == {**before.partners_lost, "OFFLINE": 7}
        assert (after.outcome, after.reason) == (before.outcome, before.reason)
