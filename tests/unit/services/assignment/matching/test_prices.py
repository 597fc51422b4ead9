"""Prices prove an optimum, and there are none for anything else."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.prices import NotOptimalError, package_prices, prices_of
from tests.unit.services.assignment.matching.test_assignment import objective, random_graph, seeds, solved


@settings(max_examples=200)
@given(seeds, st.integers(0, 25), st.integers(1, 25), st.booleans(), st.booleans())
def test_prices_fit_the_optimum(seed: int, n: int, m: int, ties: bool, priced: bool) -> None:
    graph = random_graph(seed, n, m, ties=ties, priced=priced)
    edge, everyone = solved(graph), np.arange(n)
    v = prices_of(graph, edge, everyone, np.zeros(m))
    u = package_prices(graph, edge, everyone, v)
    assert (v <= 0).all()
    assert (u <= graph.left_out_ms).all()
    assert (graph.cost_ms - u[graph.package] - v[graph.partner] >= 0).all()
    used = np.bincount(graph.partner[edge[edge != UNASSIGNED]], minlength=m)
    assert (v[used < graph.slots] == 0).all(), "a partner with slots left is free"


@given(seeds)
def test_prices_of_other_components_are_kept(seed: int) -> None:
    graph = random_graph(seed, 10, 10, density=0.1)
    known = -np.arange(10.0)
    nobody = np.zeros(0, dtype=np.int64)
    assert (prices_of(graph, solved(graph), nobody, known) == known).all()


@settings(max_examples=100)
@given(seeds)
def test_a_dearer_assignment_is_found_out(seed: int) -> None:
    graph = random_graph(seed, 6, 6, density=0.9)
    edge = solved(graph)
    matched = np.flatnonzero(edge != UNASSIGNED)
    assume(len(matched) >= 2)
    # Two packages change partners, where both edges exist.
    one, other = matched[0], matched[1]
    swapped = edge.copy()
    for package, partner in ((one, graph.partner[edge[other]]), (other, graph.partner[edge[one]])):
        own = np.arange(graph.offsets[package], graph.offsets[package + 1])
        found = own[graph.partner[own] == partner]
        assume(len(found))
        swapped[package] = found[0]
    assume(objective(graph, swapped) != objective(graph, edge))
    try:
        v = prices_of(graph, swapped, np.arange(6), np.zeros(6))
    except NotOptimalError:
        return
    u = package_prices(graph, swapped, np.arange(6), v)
    used = np.bincount(graph.partner[swapped[swapped != UNASSIGNED]], minlength=6)
    broken = (u > graph.left_out_ms).any() or (v[used < graph.slots] < 0).any()
    assert broken or (graph.cost_ms - u[graph.package] - v[graph.partner] < 0).any()


def test_no_package_means_no_price() -> None:
    graph = random_graph(1, 0, 3)
    assert prices_of(graph, solved(graph), np.arange(0), np.zeros(3)).tolist() == [0, 0, 0]
    with pytest.raises(IndexError):
        package_prices(graph, solved(graph), np.arange(1), np.zeros(3))
