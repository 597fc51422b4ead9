"""The matching of a window, by the solver that serves production, with the prices that prove it.

A policy prices its pairs in minutes; from there on it is the sparse graph, the exact solver and the dual prices of
`services.assignment.matching`, whose costs are whole milliseconds.
"""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching import assignment
from services.assignment.matching.assignment import UNASSIGNED, Graph
from services.assignment.matching.certificate import bound_ms, exact_sum_ms
from services.assignment.matching.horizon.day import Floats, Ints
from services.assignment.matching.pipeline import LEFT_OUT_MS

__all__ = ["UNASSIGNED", "Matching", "assign"]

MS = 60_000


@dataclass(frozen=True)
class Matching:
    """edge: (n,) each row's edge among those given, or UNASSIGNED. graph, solved: the window's, and its optimum."""

    edge: Ints
    graph: Graph
    solved: assignment.Matching

    def proof(self) -> tuple[float, float]:
        """Return the cost in minutes, of what is matched and what is left out at a price, and its lower bound.

        The bound is that of the dual prices: no matching of these edges costs less (weak duality).
        """
        graph, solved = self.graph, self.solved
        out = solved.edge == UNASSIGNED
        cost_ms = exact_sum_ms(graph.cost_ms[solved.edge[~out]]) + exact_sum_ms(graph.left_out_ms[out])
        # What is left out at no price of its own counts for nothing on either side.
        priceless = int((out & (graph.left_out_ms == LEFT_OUT_MS)).sum()) * int(LEFT_OUT_MS)
        lower_bound_ms = bound_ms(solved.package_ms, solved.partner_ms, graph.slots)
        return (cost_ms - priceless) / MS, (lower_bound_ms - priceless) / MS


def assign(row: Ints, column: Ints, cost: Floats, left_out: Floats) -> Matching:
    """Match rows to columns, each once, so that costs and the prices of those left out are least.

    row, column, cost: (e,) edges. left_out: (n,), +inf for as many as possible. All costs from 0.
    """
    worth = np.flatnonzero(cost < left_out[row])
    edges = worth[np.lexsort((column[worth], row[worth]))]
    columns, at_column = np.unique(column[edges], return_inverse=True)
    graph = Graph(
        offsets=np.searchsorted(row[edges], np.arange(len(left_out) + 1)),
        partner=at_column.astype(np.int64),
        cost_ms=np.rint(cost[edges] * MS),
        left_out_ms=np.where(np.isfinite(left_out), np.rint(np.minimum(left_out, 1e9) * MS), LEFT_OUT_MS),
        slots=np.ones(len(columns), dtype=np.int64),
    )
    solved = assignment.assign(graph)
    return Matching(np.append(edges, UNASSIGNED)[solved.edge], graph, solved)
