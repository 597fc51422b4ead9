"""The matching core from end to end, against references that are too slow to ship."""

import gc
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.certificate import verify
from services.assignment.matching.columns import ProblemError
from services.assignment.matching.edges import Edges
from services.assignment.matching.explain import NO_PARTNERS, OUTCOMPETED, explain
from services.assignment.matching.geography import cells, zone_cell
from services.assignment.matching.match import match
from services.assignment.matching.problem import Policy
from services.assignment.matching.rules.registry import rule_book
from tests.unit.services.assignment.matching.problems import FEASIBLE, judge, policy_of, random_problem

sizes = st.integers(0, 12)
seeds = st.integers(0, 2**32 - 1)


@given(seeds, sizes, sizes)
def test_every_pair_costs_and_fails_as_the_reference_says(seed: int, n: int, m: int) -> None:
    problem = random_problem(seed, n, m)
    pairs = np.array(list(itertools.product(range(n), range(m))), dtype=np.int64).reshape(-1, 2)
    book = rule_book(problem.policy)
    priced = book.price(problem, Edges(problem, pairs[:, 0], pairs[:, 1]))
    for place, (i, j) in enumerate(pairs):
        reason, cost_s = judge(problem, i, j)
        assert (*book.reasons, FEASIBLE)[priced.lost_to[place]] == reason
        assert priced.cost_ms[place] == (pytest.approx(cost_s * 1000, abs=2) if reason == FEASIBLE else np.inf)


@given(seeds, st.integers(0, 40), st.integers(0, 15))
def test_no_partner_gets_more_than_it_can_carry_and_every_reason_is_true(seed: int, n: int, m: int) -> None:
    problem = random_problem(seed, n, m)
    packages, partners = problem.packages, problem.partners
    result = match(problem)
    for j in range(m):
        mine = np.flatnonzero(result.partner == j)
        assert len(mine) <= partners.parcels_left[j]
        assert packages.weight_g[mine].sum() <= partners.weight_g_left[j] or not len(mine)
        assert packages.volume_cm3[mine].sum() <= partners.volume_cm3_left[j] or not len(mine)
    for i, explanation in enumerate(explain(problem, result)):
        judged = [judge(problem, i, j) for j in range(m)]
        assert explanation.partners_lost == Counter(r for r, _ in judged if r)
        assert explanation.partners_feasible == sum(r == FEASIBLE for r, _ in judged)
        assert (explanation.chosen is not None) == (result.partner[i] != UNASSIGNED)
        if explanation.chosen is not None:
            assert explanation.chosen.partner == result.partner[i]
            assert sum(explanation.chosen.terms_s.values()) == pytest.approx(explanation.chosen.cost_s, abs=0.001)
        elif not explanation.partners_feasible:
            assert explanation.reason in ({NO_PARTNERS} if m == 0 else set(explanation.partners_lost))
        else:
            assert explanation.reason == OUTCOMPETED
        others = sorted(c for j, (r, c) in enumerate(judged) if r == FEASIBLE and j != result.partner[i])
        assert [a.cost_s for a in explanation.alternatives] == pytest.approx(others[:3], abs=0.001)


@given(seeds, st.integers(0, 30), st.integers(0, 15))
def test_the_certificate_holds_for_every_pair(seed: int, n: int, m: int) -> None:
    problem = random_problem(seed, n, m)
    # One parcel a partner: its loads are what one package makes.
    alone = replace(problem, partners=replace(problem.partners, units_max=np.minimum(1, problem.partners.units_max)))
    result = match(alone)
    assert result.optimal
    verify(alone, result.book, result.partner, result.certificate)


@given(seeds)
def test_the_same_problem_has_the_same_answer(seed: int) -> None:
    first, second = (random_problem(seed, 30, 10) for _ in range(2))
    one, other = match(first), match(second)
    assert one.partner.tolist() == other.partner.tolist()
    assert explain(first, one) == explain(second, other)


@pytest.mark.parametrize("column", ["pickup", "weight_g", "ready_at_s"])
def test_a_broken_column_is_refused_by_name_and_row(column: str) -> None:
    packages = random_problem(1, 5, 5).packages
    values = getattr(packages, column).astype(float)
    values[3] = np.nan
    with pytest.raises(ProblemError) as refused:
        replace(packages, **{column: values})
    assert (refused.value.field, refused.value.row) == (column, 3)


def test_duplicate_ids_and_too_many_rows_are_refused() -> None:
    problem = random_problem(1, 5, 5)
    with pytest.raises(ProblemError, match="stands twice"):
        replace(problem.packages, ids=["same"] * 5)
    with pytest.raises(ProblemError, match="5 are more than 4"):
        replace(problem, policy=Policy(packages_max=4))


def test_a_geohash_cell_starts_with_its_prefix() -> None:
    # Published example: 57.64911, 10.40744 is u4pruydqqvj.
    assert cells(np.array([57.64911]), np.array([10.40744])).tolist() == [zone_cell("u4pruyd")]


def test_partners_who_could_take_nothing_at_all_are_counted_as_lost() -> None:
    problem = random_problem(3, 2, 0)
    explanations = explain(problem, match(problem), {"OFFLINE": 5, "NO_PARCELS_LEFT": 2})
    assert [e.reason for e in explanations] == ["NO_PARCELS_LEFT"] * 2
    assert explanations[0].outcome == "NO_FEASIBLE_PARTNER"
    assert explanations[0].partners_lost == {"OFFLINE": 5, "NO_PARCELS_LEFT": 2}


def test_a_city_whose_partners_are_all_at_home_says_so() -> None:
    problem = random_problem(3, 1, 0)
    assert explain(problem, match(problem), {"OFFLINE": 5})[0].reason == "OFFLINE"


def test_absent_partners_come_on_top_of_those_who_were_considered() -> None:
    problem = random_problem(3, 4, 3)
    result = match(problem)
    alone, together = explain(problem, result), explain(problem, result, {"OFFLINE": 7})
    for before, after in zip(alone, together, strict=True):
        assert after.partners_lost == {**before.partners_lost, "OFFLINE": 7}
        assert (after.outcome, after.reason) == (before.outcome, before.reason)


@settings(max_examples=20)
@given(seeds)
def test_a_narrower_reach_never_helps(seed: int) -> None:
    near, far = (random_problem(seed, 20, 20, policy=policy_of(limit)) for limit in (2_000, 9_000))
    assert (match(near).partner != UNASSIGNED).sum() <= (match(far).partner != UNASSIGNED).sum()


def test_what_a_match_has_made_is_gone_with_its_problem_and_waits_for_no_collector() -> None:
    match(random_problem(1, 12, 12))
    gc.collect()
    gc.disable()
    try:
        match(random_problem(2, 12, 12))
        assert gc.collect() == 0
    finally:
        gc.enable()
