"""Matched packages in their routes: where insertion puts them, one after another, and nothing else moves."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.geography import Metric
from services.assignment.matching.insertion import insertions
from services.assignment.matching.planning import RANK_STEP_MIN, Ranks, planned
from services.assignment.matching.problem import Problem
from services.assignment.matching.routes import COLUMNS, Routes
from tests.unit.services.assignment.matching.schedules import routed_problem, without_deltas

seeds = st.integers(0, 2**32 - 1)


def roomy_problem(seed: int, n: int, m: int) -> Problem:
    """A problem whose partners have room for everything."""
    problem = without_deltas(routed_problem(seed, n, m, Metric.HAVERSINE, 0.0))
    plenty = np.full(m, 100)
    return replace(
        problem, partners=replace(problem.partners, parcels_left=plenty, weight_g_left=plenty, volume_cm3_left=plenty)
    )


def matched(seed: int, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(UNASSIGNED, m, n), random.integers(1, 9, n).astype(float)


def rows_of(routes: Routes, j: int) -> range:
    return range(int(routes.offsets[j]), int(routes.offsets[j + 1]))


def row_of(routes: Routes, row: int) -> list[object]:
    return [getattr(routes, name)[row].tolist() for name in COLUMNS]


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(0, 8), st.integers(1, 4))
def test_routes_are_extended_and_never_reshuffled(seed: int, n: int, m: int) -> None:
    problem = roomy_problem(seed, n, m)
    old = problem.partners.routes
    ranks = Ranks.counted(old)
    partner, cost_s = matched(seed, n, m)
    plan = planned(problem, ranks, partner, cost_s)
    assert plan.routes.lengths.tolist() == [int(old.lengths[j]) + 2 * int((partner == j).sum()) for j in range(m)]
    for j in range(m):
        rank_of = dict(zip(ranks.first[list(rows_of(old, j))], rows_of(old, j), strict=True))
        new = list(rows_of(plan.routes, j))
        found = [plan.ranks.first[row] for row in new]
        assert found == sorted(set(found)), "ranks rise"
        stayed = [(rank, row) for rank, row in zip(found, new, strict=True) if rank in rank_of]
        assert [rank for rank, _ in stayed] == list(rank_of), "who was there stays, in order"
        assert all(row_of(plan.routes, row) == row_of(old, rank_of[rank]) for rank, row in stayed)
    for i in range(n):
        assert np.isnan(plan.pickup_rank[i]) == (partner[i] == UNASSIGNED)
        if partner[i] != UNASSIGNED:
            assert plan.pickup_rank[i] < plan.drop_rank[i]


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 3))
def test_each_package_goes_where_it_is_cheapest_after_the_cheaper_ones_before_it(seed: int, n: int, m: int) -> None:
    problem = roomy_problem(seed, n, m)
    partner, cost_s = matched(seed, n, m)
    plan = planned(problem, Ranks.counted(problem.partners.routes), partner, cost_s)
    for j in range(m):
        mine = sorted(np.flatnonzero(partner == j), key=lambda i: (cost_s[i], i))
        now, ranks = problem, Ranks.counted(problem.partners.routes)
        for i in mine:
            found = insertions(now, np.array([i]), np.array([j]))
            alone = np.where(np.arange(n) == i, j, UNASSIGNED)
            step = planned(now, ranks, alone, cost_s)
            places = {rank: place for place, rank in enumerate(ranks.first[list(rows_of(now.partners.routes, j))])}
            before = [place for rank, place in places.items() if rank < step.pickup_rank[i]]
            assert len(before) == found.pickup_after[0]
            assert sum(rank < step.drop_rank[i] for rank in places) == found.drop_after[0]
            now = replace(now, partners=replace(now.partners, routes=step.routes))
            ranks = step.ranks
        ours, theirs = rows_of(plan.routes, j), rows_of(now.partners.routes, j)
        assert [row_of(plan.routes, r) for r in ours] == [row_of(now.partners.routes, r) for r in theirs]


def test_where_ranks_have_no_room_between_them_new_stops_come_last() -> None:
    seen = 0
    for seed in range(40):
        problem = roomy_problem(seed, 1, 1)
        length = int(problem.partners.routes.lengths[0])
        found = insertions(problem, np.array([0]), np.array([0]))
        if 0 < found.pickup_after[0] <= found.drop_after[0] < length:
            close = np.arange(length) * RANK_STEP_MIN / 10
            plan = planned(problem, Ranks(close, close), np.array([0]), np.array([1.0]))
            assert close[-1] < plan.pickup_rank[0] < plan.drop_rank[0]
            assert plan.ranks.first[:-2].tolist() == close.tolist()
            seen += 1
    assert seen
