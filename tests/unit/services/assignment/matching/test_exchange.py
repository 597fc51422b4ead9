"""Exchanges fit, never make a matching worse, and come close to what a MILP solver finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching.assignment import UNASSIGNED, Graph
from services.assignment.matching.exchange import _climb, _Pairs, _placed, exchanged
from services.assignment.matching.match import match
from services.assignment.matching.pipeline import LEFT_OUT_MS
from services.assignment.matching.problem import Packages, Partners
from tests.unit.services.assignment.matching.gap_instances import TYPES, instance, optimum


def exchanged_from(
    cost_ms: list[list[float]],
    weight_g: list[int],
    room_g: list[int],
    partner: list[int],
    first: list[int] | None = None,
) -> list[int]:
    """What becomes of `partner` where these pairs are possible and weight is all that matters."""
    cost, (n, m) = np.array(cost_ms), np.shape(cost_ms)
    package, to = np.nonzero(np.isfinite(cost))
    offsets = np.concatenate([[0], np.cumsum(np.isfinite(cost).sum(axis=1))])
    graph = Graph(offsets, to, cost[package, to], np.full(n, LEFT_OUT_MS), np.full(m, n))
    nowhere = np.zeros((n, 2)), np.zeros((m, 2))
    packages = Packages.of([str(i) for i in range(n)], nowhere[0], nowhere[0], weight_g=np.array(weight_g))
    room = {"weight_g_left": np.array(room_g), "parcels_left": np.full(m, n)}
    partners = Partners.of([str(j) for j in range(m)], nowhere[1], **room)
    before = np.array(partner)
    own_ms = np.where(before == UNASSIGNED, 0.0, cost[np.arange(n), before])
    crowded = np.array(first) if first is not None else cost.argmin(axis=1)
    after, after_ms = exchanged(graph, packages, partners, crowded, before, own_ms)
    assert np.array_equal(after_ms, np.where(after == UNASSIGNED, 0.0, cost[np.arange(n), after]))
    return after.tolist()


NEVER = np.inf


def test_one_that_was_left_out_goes_where_there_is_room() -> None:
    assert exchanged_from([[1, 5], [2, 9]], [3, 3], [3, 3], [0, UNASSIGNED]) in ([1, 0], [0, 1])
    assert exchanged_from([[1, 5], [2, 9]], [3, 3], [3, 3], [0, UNASSIGNED]) == [1, 0], "5 and 2 are less than 1 and 9"


def test_one_moves_on_for_another_that_fits_nowhere_else() -> None:
    assert exchanged_from([[1, 4, 4], [2, NEVER, NEVER]], [3, 3], [3, 1, 3], [0, UNASSIGNED]) == [2, 0]


def test_two_change_places_where_neither_has_a_free_one() -> None:
    assert exchanged_from([[9, 1], [1, 9]], [3, 3], [3, 3], [0, 1]) == [1, 0]


def test_a_lighter_one_takes_the_place_of_a_heavier_one_if_that_lets_another_in() -> None:
    only = [[1.0], [2.0], [2.0]]
    assert exchanged_from(only, [4, 2, 2], [4], [0, UNASSIGNED, UNASSIGNED]) == [UNASSIGNED, 0, 0]


def test_what_is_best_already_stays() -> None:
    assert exchanged_from([[1, 5], [5, 1]], [3, 3], [3, 3], [0, 1], first=[0, 0]) == [0, 1]
    assert exchanged_from([[1.0]], [3], [3], [0]) == [0]
    assert exchanged_from([[NEVER, NEVER]], [3], [3, 3], [UNASSIGNED], first=[UNASSIGNED]) == [UNASSIGNED]


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 6))
def test_it_fits_and_is_never_worse(seed: int, n: int, m: int) -> None:
    random = np.random.default_rng(seed)
    cost = random.integers(0, 20, (n, m)).astype(float)
    cost[random.random((n, m)) < 0.3] = NEVER
    weight, room = random.integers(1, 6, n), random.integers(0, 12, m)
    before, left = [], room.copy()
    for i in range(n):
        able = [j for j in range(m) if np.isfinite(cost[i, j]) and weight[i] <= left[j]]
        before.append(int(random.choice(able)) if able and random.random() < 0.8 else UNASSIGNED)
        if before[-1] != UNASSIGNED:
            left[before[-1]] -= weight[i]
    after = np.array(exchanged_from(cost.tolist(), weight.tolist(), room.tolist(), before))
    held = np.flatnonzero(after != UNASSIGNED)
    assert (np.bincount(after[held], weight[held], minlength=m) <= room).all()
    assert np.isfinite(cost[held, after[held]]).all()

    def value(partner: np.ndarray) -> tuple[int, float]:
        held = np.flatnonzero(partner != UNASSIGNED)
        return n - len(held), float(cost[held, partner[held]].sum())

    assert value(after) <= value(np.array(before))


@pytest.mark.parametrize("kind", TYPES)
def test_with_room_for_all_a_match_places_all_at_hardly_more_than_the_optimum(kind: str) -> None:
    for seed in range(3):
        gap = instance(kind, 5, 30, seed, spare=1.5)
        problem, book = gap.problem()
        result, best = match(problem, book=book), optimum(gap)
        assert int((result.partner < 0).sum()) == best.left_out == 0
        assert result.total_cost_s * 1000 <= best.cost * 1.04


@pytest.mark.parametrize("kind", "ABC")
def test_with_too_little_room_a_match_leaves_out_hardly_more_than_it_must(kind: str) -> None:
    for seed in range(3):
        gap = instance(kind, 5, 25, seed)
        problem, book = gap.problem()
        result, best = match(problem, book=book), optimum(gap)
        assert best.left_out <= int((result.partner < 0).sum()) <= best.left_out + 1


def test_looks_are_limited() -> None:
    count = 6
    pairs = _Pairs(
        starts=np.arange(count + 1), column=np.zeros(count, dtype=np.int64), cost_ms=np.arange(count, dtype=float),
        load=np.ones((count, 1), dtype=np.int64), left_out_ms=np.full(count, LEFT_OUT_MS), weight=np.ones(count),
    )  # fmt: skip
    places = _placed(pairs, np.full(count, UNASSIGNED), np.full((1, 1), count))
    # Each round looks at every pair: after two of them it is over.
    places.looks_left[0] = 2 * count
    _climb(pairs, places, False)
    assert sorted(places.at) == [UNASSIGNED] * 4 + [0] * 2
