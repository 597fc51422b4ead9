"""The optimal assignment on a sparse graph: exact, with the prices that prove it.

As many packages as possible are matched, or exactly those that are worth it where leaving out has a price, and among
those matchings one of least cost. Packages and partners that no chain of edges joins do not affect each other, so the
connected components of a large graph can be solved side by side.

With the partners' prices v <= 0 and the packages' u, an assignment is optimal exactly when v is 0 where a partner has
slots left, u_i + v_j <= c_ij for every pair, with equality for matched ones, and u_i is at most what leaving i out
costs, with equality for those left out (complementary slackness; Ahuja, Magnanti and Orlin 1993, chapter 9).
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from services.assignment.matching.augmenting import NOBODY, augmented
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.groups import within

UNASSIGNED = NOBODY
# Components are handed out in lots of about this many edges, where there is enough for two of them.
LOT_EDGES = 50_000


class NotOptimalError(AssertionError):
    """An assignment that should be optimal is not: its prices do not prove it."""


@dataclass(frozen=True)
class Graph:
    """Edges ordered by package, each partner at most once a package.

    offsets: (n + 1,) package i's edges are offsets[i]:offsets[i+1]. partner, cost_ms: (e,). left_out_ms: (n,) what
    leaving a package out costs. slots: (m,) how many packages a partner may get.
    """

    offsets: Ints
    partner: Ints
    cost_ms: Floats
    left_out_ms: Floats
    slots: Ints

    @cached_property
    def lengths(self) -> Ints:
        """Return (n,): how many edges each package has."""
        lengths: Ints = self.offsets[1:] - self.offsets[:-1]
        return lengths

    @property
    def package(self) -> Ints:
        """Return (e,): each edge's package."""
        return np.arange(len(self.left_out_ms)).repeat(self.lengths)


@dataclass(frozen=True)
class Matching:
    """edge: (n,) each package's edge, or UNASSIGNED. package_ms: (n,) and partner_ms: (m,), at most 0: the prices."""

    edge: Ints
    package_ms: Floats
    partner_ms: Floats


def assign(graph: Graph, executor: Executor | None = None) -> Matching:
    """Return the optimum. A large graph's components are solved by `executor`, with the same answer."""
    if executor is None or len(graph.partner) < 2 * LOT_EDGES:
        return Matching(*augmented(graph.offsets, graph.partner, graph.cost_ms, graph.left_out_ms, graph.slots))
    lots = _lots(graph, components(graph))
    parts = [_part(graph, members) for members in lots]
    whole = Matching(np.full(len(graph.left_out_ms), UNASSIGNED), graph.left_out_ms.copy(), np.zeros(len(graph.slots)))
    solved = executor.map(assign, [part for _, _, part in parts])
    for members, (edges, partners, _), found in zip(lots, parts, solved, strict=True):
        whole.edge[members] = np.append(edges, UNASSIGNED)[found.edge]
        whole.package_ms[members], whole.partner_ms[partners] = found.package_ms, found.partner_ms
    return whole


def components(graph: Graph) -> Ints:
    """Return (n,): the component of each package, numbered from 0."""
    n, m = len(graph.left_out_ms), len(graph.slots)
    joined = csr_array(
        (
            np.ones(len(graph.partner), dtype=np.int8),
            graph.partner + n,
            np.append(graph.offsets, [graph.offsets[-1]] * m),
        ),
        shape=(n + m, n + m),
    )
    return connected_components(joined, directed=False)[1][:n].astype(np.int64)


def check_optimal(graph: Graph, matching: Matching) -> None:
    """Raise NotOptimalError unless the matching's prices prove that it is the graph's optimum."""
    u, v, edge = matching.package_ms, matching.partner_ms, matching.edge
    out, taken = edge == UNASSIGNED, edge[edge != UNASSIGNED]
    used = np.bincount(graph.partner[taken], minlength=len(graph.slots))
    conditions = {
        "a partner has more packages than slots": used > graph.slots,
        "a partner's price is above 0": v > 0,
        "a partner with slots left has a price": (used < graph.slots) & (v < 0),
        "a package is worth more than leaving it out costs": u > graph.left_out_ms,
        "a package is left out that is worth more": u[out] < graph.left_out_ms[out],
        "a pair costs less than its prices": graph.cost_ms < np.repeat(u, graph.lengths) + v[graph.partner],
        "a matched pair costs more than its prices": graph.cost_ms[taken] > u[~out] + v[graph.partner[taken]],
    }
    for said, broken in conditions.items():
        if broken.any():
            raise NotOptimalError(f"{said}: number {int(np.argmax(broken))}")


def _lots(graph: Graph, component: Ints) -> Sequence[Ints]:
    """Return the packages in lots of whole components with about LOT_EDGES edges, the same whoever solves them."""
    order = np.argsort(component, kind="stable")
    edges_before = np.cumsum(graph.lengths[order]) - graph.lengths[order]
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    lot = edges_before[starts] // LOT_EDGES
    return np.split(order, starts[1:][np.diff(lot) > 0])


def _part(graph: Graph, members: Ints) -> tuple[Ints, Ints, Graph]:
    """Return the edges and the partners of some packages, and the graph of just these, in their order."""
    lengths = graph.lengths[members]
    edges = np.repeat(graph.offsets[members], lengths) + within(lengths)
    partners, column = np.unique(graph.partner[edges], return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    part = Graph(offsets, column, graph.cost_ms[edges], graph.left_out_ms[members], graph.slots[partners])
    return edges, partners, part
