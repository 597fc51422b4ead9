"""The matching of a window, by the solver that serves production, with the prices that prove it.

A policy prices its pairs in minutes; from there on it is the sparse graph, the components, the exact solver and the
dual prices of `services.assignment.matching`, whose costs are whole milliseconds.
"""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED, Graph, components
from services.assignment.matching.assignment import assign as solve
from services.assignment.matching.certificate import bound_ms, exact_sum_ms
from services.assignment.matching.horizon.day import Floats, Ints
from services.assignment.matching.pipeline import LEFT_OUT_MS
from services.assignment.matching.prices import package_prices, prices_of

__all__ = ["UNASSIGNED", "Matching", "assign"]

MS = 60_000


@dataclass(frozen=True)
class Matching:
    """graph: the window's; edges: (e',) which of the given edges it holds, in its order. edge: (n,) or UNASSIGNED.

    edge names each row's edge among those given.
    """

    graph: Graph
    edges: Ints
    edge: Ints

    def proof(self) -> tuple[float, float]:
        """Return the cost in minutes, of what is matched and what is left out at a price, and its lower bound.

        The bound is that of the dual prices: no matching of these edges costs less (weak duality).
        """
        graph, rows = self.graph, np.arange(len(self.edge))
        place = np.full(len(self.edge), UNASSIGNED, dtype=np.int64)
        matched = np.flatnonzero(self.edge != UNASSIGNED)
        where = np.argsort(self.edges, kind="stable")
        place[matched] = where[np.searchsorted(self.edges, self.edge[matched], sorter=where)]
        column_ms = prices_of(graph, place, rows, np.zeros(len(graph.slots)))
        row_ms = package_prices(graph, place, rows, column_ms)
        out = place == UNASSIGNED
        cost_ms = exact_sum_ms(graph.cost_ms[place[~out]]) + exact_sum_ms(graph.left_out_ms[out])
        # What is left out at no price of its own counts for nothing on either side.
        priceless = int((out & (graph.left_out_ms == LEFT_OUT_MS)).sum()) * int(LEFT_OUT_MS)
        return (cost_ms - priceless) / MS, (bound_ms(row_ms, column_ms, graph.slots) - priceless) / MS


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
    component = components(graph)
    place = solve(graph, component, np.ones(int(component.max(initial=-1)) + 1, dtype=bool))
    edge = np.full(len(left_out), UNASSIGNED, dtype=np.int64)
    edge[place != UNASSIGNED] = edges[place[place != UNASSIGNED]]
    return Matching(graph, edges, edge)
