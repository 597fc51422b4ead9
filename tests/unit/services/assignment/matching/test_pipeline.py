"""The optimum over near pairs is the optimum over all pairs, and its proof holds for each of them."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from services.assignment.matching import assignment, candidates, pipeline
from services.assignment.matching.certificate import CertificateError, exact_sum_ms, verify
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Metric
from services.assignment.matching.pipeline import LEFT_OUT_MS, Pipeline, Solved, solve
from services.assignment.matching.problem import Packages, Partners, Policy, Problem, RuleConfig
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.travel import SPEED_M_PER_S, Travel, steady
from tests.unit.services.assignment.matching.problems import NOW_S, random_problem

seeds = st.integers(0, 2**32 - 1)


def plane_problem(seed: int, n: int, m: int, *, ties: bool, reach_m: float) -> Problem:
    """Clustered places in the plane, several vehicles, some units and prices of leaving out."""
    random = np.random.default_rng(seed)
    centers = random.uniform(0, 20_000, (3, 2))

    def places(count: int, spread_m: float) -> np.ndarray:
        drawn = centers[random.integers(0, 3, count)] + random.normal(0, spread_m, (count, 2))
        # On a coarse grid many ways are equally long.
        return np.round(drawn / 1_000) * 1_000 if ties else drawn

    packages = Packages.of(
        [str(i) for i in range(n)],
        places(n, 400),
        places(n, 4_000),
        left_out_cost_s=np.where(random.random(n) < 0.2, random.uniform(0, 900, n), np.inf),
        placed_at_s=NOW_S - random.uniform(0, 3_000, n),
        due_at_s=NOW_S + random.uniform(0, 4_000, n),
    )
    partners = Partners.of(
        [str(j) for j in range(m)],
        places(m, 1_500),
        vehicle=random.integers(1, 4, m),
        parcels_left=np.full(m, 3),
        units_max=random.integers(0, 4, m),
        rating=random.uniform(2, 5, m),
        free_at_s=NOW_S + random.uniform(0, 300, m),
    )
    speed = steady(SPEED_M_PER_S)
    speed[:, 0] *= 0.7
    travel = Travel(Metric.EUCLIDEAN, speed, round_up_s=60.0 if ties else 0.0)
    return Problem(packages, partners, Policy(pickup_distance_m_max=reach_m), travel, NOW_S)


def dense_objective_ms(problem: Problem) -> int:
    """The plain way: the matrix of all pairs, a column for every slot and for leaving each package out."""
    n, m = len(problem.packages), len(problem.partners)
    pairs = Edges(problem, np.repeat(np.arange(n), m), np.tile(np.arange(m), n))
    cost = rule_book(problem.policy).price(problem, pairs).cost_ms.reshape(n, m)
    leave = np.full((n, n), np.inf)
    np.fill_diagonal(leave, np.minimum(np.rint(problem.packages.left_out_cost_s * 1000), LEFT_OUT_MS))
    full = np.concatenate([np.repeat(cost, problem.partners.units_max, axis=1), leave], axis=1)
    return exact_sum_ms(full[linear_sum_assignment(full)])


def solved(problem: Problem) -> Solved:
    result = solve(problem, rule_book(problem.policy))
    verify(problem, rule_book(problem.policy), result.partner, result.certificate)
    return result


@pytest.fixture(params=["table", "trees"], autouse=True)
def nearby(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems are written down as a table of pairs; large ones find their pairs in trees."""
    monkeypatch.setattr(candidates, "TABLE_CELLS_MAX", 0 if request.param == "trees" else 10_000)
    for kind in (candidates.PairTable, candidates.SpatialIndex):
        # So few that neighbourhoods have to grow.
        monkeypatch.setattr(kind, "neighbours_first", 1)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.integers(0, 40), st.integers(0, 60), st.booleans(), st.sampled_from([800.0, 5_000.0, 1e6]))
def test_the_answer_equals_the_dense_optimum(seed: int, n: int, m: int, ties: bool, reach_m: float) -> None:
    problem = plane_problem(seed, n, m, ties=ties, reach_m=reach_m)
    result = solved(problem)
    assert result.certificate.optimal
    assert result.certificate.objective_ms == dense_objective_ms(problem)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.integers(1, 30), st.integers(1, 60))
def test_on_the_sphere_too(seed: int, n: int, m: int) -> None:
    problem = random_problem(seed, n, m)
    assert solved(problem).certificate.objective_ms == dense_objective_ms(problem)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_whatever_the_way_to_the_pickup_weighs(weight: float) -> None:
    problem = plane_problem(5, 30, 40, ties=False, reach_m=1e6)
    problem = replace(problem, policy=Policy(1e6, {"pickup_travel": RuleConfig(weight=weight)}))
    assert solved(problem).certificate.objective_ms == dense_objective_ms(problem)


def test_hot_spots_where_everyone_wants_the_same_partners() -> None:
    problem = plane_problem(7, 200, 120, ties=False, reach_m=1e6)
    problem = replace(problem, packages=replace(problem.packages, left_out_cost_s=np.full(200, np.inf)))
    result = solved(problem)
    assert result.certificate.objective_ms == dense_objective_ms(problem)
    assert result.rounds > 1, "neighbourhoods had to grow"
    assert result.edges_priced < 200 * 120


@pytest.mark.parametrize("at_once", [0, pipeline.AT_ONCE_PAIRS_MAX])
@pytest.mark.parametrize("seed", range(8))
def test_no_pair_is_taken_in_twice_however_far_packages_look(
    seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Too few partners: prices of packages that are left out make some neighbourhoods grow in two ways by turns.
    monkeypatch.setattr(pipeline, "AT_ONCE_PAIRS_MAX", at_once)
    problem = plane_problem(seed, 150, 60, ties=bool(seed % 2), reach_m=1e6)
    problem = replace(problem, packages=replace(problem.packages, left_out_cost_s=np.full(150, np.inf)))
    looking = Pipeline(problem, rule_book(problem.policy))
    result = looking.run()
    pairs = list(zip(looking.pool.package.tolist(), looking.pool.partner.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert result.certificate.objective_ms == dense_objective_ms(problem)


def test_a_problem_has_one_answer_in_one_thread_and_in_several_processes() -> None:
    problem = plane_problem(8, 120, 90, ties=True, reach_m=1e6)
    alone = solve(problem, rule_book(problem.policy))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "LOT_EDGES", 50)
        with ProcessPoolExecutor(2) as executor:
            shared = solve(problem, rule_book(problem.policy), executor)
    assert shared.partner.tolist() == alone.partner.tolist()
    assert shared.certificate.partner_ms.tolist() == alone.certificate.partner_ms.tolist()


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0)])
def test_an_empty_side_has_an_answer(n: int, m: int) -> None:
    result = solved(plane_problem(1, n, m, ties=False, reach_m=5_000))
    assert len(result.partner) == n
    assert result.certificate.optimal


def test_a_forged_proof_is_refused() -> None:
    problem = plane_problem(9, 25, 30, ties=False, reach_m=1e6)
    book, result = rule_book(problem.policy), solve(problem, rule_book(problem.policy))
    forged = result.certificate
    matched = int(np.argmax(result.partner >= 0))
    dearer = forged.package_ms.copy()
    dearer[matched] += 1
    for broken in (
        replace(forged, package_ms=dearer),
        replace(forged, package_ms=dearer, lower_bound_ms=forged.lower_bound_ms + 1),
        replace(forged, partner_ms=forged.partner_ms + 1),
        replace(forged, objective_ms=forged.objective_ms - 1),
    ):
        with pytest.raises(CertificateError):
            verify(problem, book, result.partner, broken)
    moved = result.partner.copy()
    moved[matched] = -1
    with pytest.raises(CertificateError):
        verify(problem, book, moved, forged)
