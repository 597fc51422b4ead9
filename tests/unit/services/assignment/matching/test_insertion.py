"""Cheapest insertion, against a reference that drives every insertion of every pair, one at a time."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Metric
from services.assignment.matching.insertion import SCHEDULED_MAX, Insertion, insertions
from services.assignment.matching.problem import Problem
from services.assignment.matching.routes import Routes
from services.assignment.matching.rules.registry import rule_book
from tests.unit.services.assignment.matching.schedules import drives, ride_s, routed_problem, without_deltas

seeds = st.integers(0, 2**32 - 1)
metrics = st.sampled_from(list(Metric))
roundings = st.sampled_from([0.0, 1.0, 60.0])
CLOSE_S = 1e-4
TIMES = ("pickup_at_s", "dropped_at_s", "detour_s", "delay_s")


def pairs_of(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    n, m = len(problem.packages), len(problem.partners)
    pairs = np.array(list(itertools.product(range(n), range(m))), dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def found_for(problem: Problem) -> tuple[np.ndarray, np.ndarray, Insertion]:
    package, partner = pairs_of(problem)
    return package, partner, insertions(problem, package, partner)


@settings(max_examples=60, deadline=None)
@given(seeds, metrics, roundings, st.booleans())
def test_an_insertion_is_timed_as_it_is_driven_and_the_best_of_those_timed(
    seed: int, metric: Metric, round_up_s: float, counted: bool
) -> None:
    problem = routed_problem(seed, 4, 4, metric, round_up_s)
    problem = without_deltas(problem) if counted else problem
    package, partner, found = found_for(problem)
    for place, (i, j) in enumerate(zip(package, partner, strict=True)):
        tried = drives(problem, i, j)
        if not tried:
            assert [getattr(found, name)[place] for name in TIMES] == [np.inf] * len(TIMES)
            continue
        at = (int(found.pickup_after[place]), int(found.drop_after[place]))
        assert at in tried, "what is chosen fits the vehicle"
        mine = tried[at]
        assert found.pickup_at_s[place] == pytest.approx(mine.pickup_at_s, abs=CLOSE_S)
        assert found.dropped_at_s[place] == pytest.approx(mine.dropped_at_s, abs=CLOSE_S)
        assert found.delay_s[place] == pytest.approx(mine.delay_s, abs=CLOSE_S)
        packages = problem.packages
        to_drop_s = float(problem.travel.distance_m(packages.pickup[i], packages.drop[i]))
        ride = ride_s(problem, j, to_drop_s) + ride_s(problem, j, packages.chain_m[i]) + packages.chain_service_s[i]
        detour = max(0.0, mine.extra_s - ride) if problem.partners.routes.lengths[j] else 0.0
        assert found.detour_s[place] == pytest.approx(detour, abs=CLOSE_S)
        # The guarantee: no insertion that is among the shortest is better, and the shortest is no exception.
        extras = sorted(one.extra_s for one in tried.values())
        longest_timed = extras[min(SCHEDULED_MAX, len(extras)) - 1]
        assert mine.extra_s <= longest_timed + CLOSE_S
        surely_timed = [d.score_s for d in tried.values() if d.extra_s < longest_timed - CLOSE_S]
        if len(tried) <= SCHEDULED_MAX:
            surely_timed = [d.score_s for d in tried.values()]
        assert mine.score_s <= min(surely_timed, default=np.inf) + CLOSE_S
        assert mine.score_s <= max(d.score_s for d in tried.values() if d.extra_s <= extras[0] + CLOSE_S) + CLOSE_S


@settings(max_examples=40, deadline=None)
@given(seeds, metrics)
def test_routes_of_up_to_two_stops_get_their_optimum(seed: int, metric: Metric) -> None:
    problem = routed_problem(seed, 3, 5, metric, 1.0, stops_max=2)
    package, partner, found = found_for(problem)
    for place, (i, j) in enumerate(zip(package, partner, strict=True)):
        tried = drives(problem, i, j)
        if tried:
            mine = tried[int(found.pickup_after[place]), int(found.drop_after[place])]
            assert mine.score_s == pytest.approx(min(d.score_s for d in tried.values()), abs=CLOSE_S)


@settings(max_examples=15, deadline=None)
@given(seeds, metrics)
def test_each_pair_is_priced_as_if_it_were_alone(seed: int, metric: Metric) -> None:
    problem = routed_problem(seed, 3, 5, metric, 0.0)
    package, partner, together = found_for(problem)
    alone = [insertions(problem, package[e : e + 1], partner[e : e + 1]) for e in range(len(package))]
    for name in Insertion.__dataclass_fields__:
        assert [getattr(one, name)[0] for one in alone] == getattr(together, name).tolist()


@settings(max_examples=30, deadline=None)
@given(seeds, metrics, roundings)
def test_a_partner_without_a_route_costs_the_same_whether_or_not_others_have_one(
    seed: int, metric: Metric, round_up_s: float
) -> None:
    """Rules take a short cut where nobody has a route: it must lead to the same place."""
    problem = routed_problem(seed, 5, 6, metric, round_up_s)
    package, partner = pairs_of(problem)
    idle = problem.partners.routes.lengths[partner] == 0
    book = rule_book(problem.policy)
    priced = book.price(problem, Edges(problem, package, partner)).cost_ms
    routeless = replace(problem, partners=replace(problem.partners, routes=Routes.none(6)))
    expected = book.price(routeless, Edges(routeless, package, partner)).cost_ms
    assert priced[idle].tolist() == pytest.approx(expected[idle].tolist(), abs=1)


def test_no_pairs_have_no_insertions() -> None:
    problem = routed_problem(1, 0, 3, Metric.HAVERSINE, 0.0)
    nobody = np.zeros(0, dtype=np.int64)
    assert len(insertions(problem, nobody, nobody).delay_s) == 0
