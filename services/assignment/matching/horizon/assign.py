"""The matching of a window on priced edges, each row with a price for being left out: the way to the solver."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from services.assignment.matching.horizon.day import Floats, Ints
from services.assignment.matching.solver import UNASSIGNED, solve

__all__ = ["UNASSIGNED", "Matching", "assign"]


@dataclass(frozen=True)
class Matching:
    """edge: (n,) each row's edge, or UNASSIGNED. cost of what is matched, and what no matching can cost less than."""

    edge: Ints
    cost: float
    lower_bound: float


def assign(row: Ints, column: Ints, cost: Floats, left_out: Floats) -> Matching:
    """Match rows to columns, each once, so that costs and the prices of those left out are least.

    row, column, cost: (e,) edges. left_out: (n,), +inf for as many as possible.
    """
    n = len(left_out)
    edge = np.full(n, UNASSIGNED, dtype=np.int64)
    worth = np.flatnonzero(cost < left_out[row])
    if not len(worth):
        return Matching(edge, 0.0, 0.0)
    columns, at_column = np.unique(column[worth], return_inverse=True)
    size = n + len(columns)
    joined = coo_array((np.ones(len(worth), dtype=np.int8), (row[worth], n + at_column)), shape=(size, size))
    label = connected_components(joined, directed=False)[1][row[worth]]
    order = np.argsort(label, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        edges = worth[part]
        _assign_component(row[edges], at_column[part], cost[edges], left_out, edges, edge)
    total = float(cost[edge[edge != UNASSIGNED]].sum())
    return Matching(edge, total, total)


def _assign_component(row: Ints, column: Ints, cost: Floats, left_out: Floats, number: Ints, edge: Ints) -> None:
    if row[0] == row[-1] and (row == row[0]).all():
        edge[row[0]] = number[np.argmin(cost)]
        return
    rows, at_row = np.unique(row, return_inverse=True)
    columns, at_column = np.unique(column, return_inverse=True)
    dense = np.full((len(rows), len(columns)), np.inf)
    dense[at_row, at_column] = cost
    numbers = np.full(dense.shape, UNASSIGNED, dtype=np.int64)
    numbers[at_row, at_column] = number
    first = dense.argmin(axis=1)
    if len(np.unique(first)) == len(rows):
        edge[rows] = numbers[np.arange(len(rows)), first]
        return
    if not np.isinf(left_out[rows]).any():
        own = np.full((len(rows), len(rows)), np.inf)
        np.fill_diagonal(own, left_out[rows])
        dense = np.hstack([dense, own])
    taken = solve(dense, np.ones(dense.shape[1], dtype=np.int64))
    served = (taken != UNASSIGNED) & (taken < len(columns))
    edge[rows[served]] = numbers[np.flatnonzero(served), taken[served]]
