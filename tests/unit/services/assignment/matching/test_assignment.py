"""The assignment on sparse graphs against the dense optimum, with ties, capacities, masks and prices of leaving out;
its prices prove it, and there are none for anything else."""

import itertools
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from services.assignment.matching import assignment
from services.assignment.matching.assignment import UNASSIGNED, Graph, Matching, NotOptimalError, assign, check_optimal
from services.assignment.matching.pipeline import LEFT_OUT_MS

seeds = st.integers(0, 2**32 - 1)


def random_graph(seed: int, n: int, m: int, *, ties: bool = False, density: float = 0.4, priced: bool = False) -> Graph:
    """A random graph; with `ties` most costs are equal, with `priced` some packages are cheap to leave out."""
    random = np.random.default_rng(seed)
    possible = random.random((n, m)) < density
    package, partner = np.nonzero(possible)
    cost_ms = random.integers(0, 3 if ties else 1_000_000, len(package)).astype(float)
    left_out_ms = np.full(n, LEFT_OUT_MS)
    if priced:
        left_out_ms = np.where(random.random(n) < 0.5, random.integers(0, 1_000_000, n), left_out_ms)
    offsets = np.concatenate([[0], np.cumsum(possible.sum(axis=1))]).astype(np.int64)
    return Graph(offsets, partner, cost_ms, left_out_ms, random.integers(0, 4, m))


def solved(graph: Graph) -> np.ndarray:
    return assign(graph).edge


def objective(graph: Graph, edge: np.ndarray) -> tuple[int, float]:
    """How many packages are left out at LEFT_OUT_MS, and the rest of the objective."""
    matched = edge != UNASSIGNED
    left_out = graph.left_out_ms[~matched]
    rest = float(graph.cost_ms[edge[matched]].sum() + left_out[left_out < LEFT_OUT_MS].sum())
    return int((left_out == LEFT_OUT_MS).sum()), rest


def dense_optimum(graph: Graph) -> tuple[int, float]:
    """The plain way: every slot a column, and a column for leaving each package out."""
    n = len(graph.left_out_ms)
    dense = np.full((n, len(graph.slots)), np.inf)
    dense[graph.package, graph.partner] = graph.cost_ms
    leave = np.full((n, n), np.inf)
    np.fill_diagonal(leave, graph.left_out_ms)
    full = np.concatenate([np.repeat(dense, graph.slots, axis=1), leave], axis=1)
    rows, columns = linear_sum_assignment(full)
    taken = full[rows, columns]
    return int((taken == LEFT_OUT_MS).sum()), float(taken[taken < LEFT_OUT_MS].sum())


def check_slots(graph: Graph, edge: np.ndarray) -> None:
    matched = np.flatnonzero(edge != UNASSIGNED)
    assert (graph.package[edge[matched]] == matched).all()
    assert (np.bincount(graph.partner[edge[matched]], minlength=len(graph.slots)) <= graph.slots).all()


@settings(max_examples=400)
@given(seeds, st.integers(0, 25), st.integers(0, 25), st.booleans(), st.booleans(), st.sampled_from([0.05, 0.2, 0.8]))
def test_the_assignment_equals_the_dense_optimum(
    seed: int, n: int, m: int, ties: bool, priced: bool, density: float
) -> None:
    graph = random_graph(seed, n, m, ties=ties, priced=priced, density=density)
    matching = assign(graph)
    check_slots(graph, matching.edge)
    check_optimal(graph, matching)
    assert objective(graph, matching.edge) == dense_optimum(graph)


@settings(max_examples=150)
@given(seeds, st.integers(0, 5), st.integers(0, 4), st.booleans())
def test_the_assignment_is_the_best_of_all_assignments(seed: int, n: int, m: int, ties: bool) -> None:
    graph = random_graph(seed, n, m, ties=ties, density=0.7)
    cost = {(int(i), int(j)): c for i, j, c in zip(graph.package, graph.partner, graph.cost_ms, strict=True)}
    best = (n + 1, 0.0)
    for choice in itertools.product(range(-1, m), repeat=n):
        pairs = [(i, j) for i, j in enumerate(choice) if j >= 0]
        used = Counter(j for _, j in pairs)
        if all(pair in cost for pair in pairs) and all(used[j] <= graph.slots[j] for j in used):
            best = min(best, (n - len(pairs), float(sum(cost[pair] for pair in pairs))))
    assert objective(graph, solved(graph)) == best


@settings(max_examples=40)
@given(seeds, st.integers(30, 120), st.integers(1, 12), st.booleans())
def test_chains_through_crowded_partners_end_at_the_optimum(seed: int, n: int, m: int, ties: bool) -> None:
    graph = random_graph(seed, n, m, ties=ties, density=0.6, priced=True)
    graph = replace(graph, slots=np.random.default_rng(seed).integers(0, 2 + n // m, m))
    matching = assign(graph)
    check_optimal(graph, matching)
    assert objective(graph, matching.edge) == dense_optimum(graph)


@settings(max_examples=100)
@given(seeds)
def test_a_dearer_assignment_and_wrong_prices_are_found_out(seed: int) -> None:
    graph, random = random_graph(seed, 6, 6, density=0.9), np.random.default_rng(seed)
    matching = assign(graph)
    matched = np.flatnonzero(matching.edge != UNASSIGNED)
    assume(len(matched))
    left_out = matching.edge.copy()
    left_out[matched[0]] = UNASSIGNED
    moved = matching.edge.copy()
    moved[matched[0]] = random.integers(graph.offsets[matched[0]], graph.offsets[matched[0] + 1])
    for edge in (left_out, moved):
        if objective(graph, edge) != objective(graph, matching.edge):
            with pytest.raises(NotOptimalError):
                check_optimal(graph, replace(matching, edge=edge))
    for name in ("package_ms", "partner_ms"):
        wrong = getattr(matching, name).copy()
        wrong[random.integers(6)] += random.choice([-1.0, 1.0])
        if objective_by_prices(graph, replace(matching, **{name: wrong})) != objective_by_prices(graph, matching):
            with pytest.raises(NotOptimalError):
                check_optimal(graph, replace(matching, **{name: wrong}))


def objective_by_prices(graph: Graph, matching: Matching) -> float:
    """What the prices say that a matching costs at least."""
    return float(matching.package_ms.sum() + (matching.partner_ms * graph.slots).sum())


def test_the_answer_is_the_same_alone_and_in_threads_and_processes() -> None:
    graphs = [random_graph(seed, 400, 300, ties=seed % 2 == 0, density=0.004) for seed in range(4)]
    alone = [assign(graph) for graph in graphs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "LOT_EDGES", 20)
        for executor in (ThreadPoolExecutor(3), ProcessPoolExecutor(2), ProcessPoolExecutor(3)):
            with executor:
                for graph, expected in zip(graphs, alone, strict=True):
                    found = assign(graph, executor)
                    assert (found.edge == expected.edge).all()
                    assert (found.package_ms == expected.package_ms).all()
                    assert (found.partner_ms == expected.partner_ms).all()
