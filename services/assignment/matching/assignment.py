"""The optimal assignment on a sparse graph: exact, component by component.

As many packages as possible are matched, or exactly those that are worth it where leaving out has a price, and among
those matchings one of least cost. Packages and partners that no chain of edges joins do not affect each other, so each
connected component is solved alone. Where every package of a component can have its cheapest partner, that is the
optimum. Otherwise capacity becomes slots, a column each, and a component is solved by
`scipy.optimize.linear_sum_assignment` on a dense matrix (shortest augmenting paths; Crouse 2016,
doi:10.1109/TAES.2016.140952) or, where that would be large or mostly holes, by
`scipy.sparse.csgraph.min_weight_full_bipartite_matching` (LAPJVsp; Jonker and Volgenant 1987, doi:10.1007/BF02278710).

An earlier matching and its prices, where they are known, say which edges no optimum can have: those that cost more than
the prices of their ends by more than the whole earlier matching does (reduced-cost fixing). When little has changed
since, few edges are left.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools
from services.assignment.matching.routes import within

UNASSIGNED = -1
# A dense matrix beyond this is solved as a sparse one, and a smaller one too where it is mostly holes.
DENSE_CELLS_MAX = 100_000
DENSE_CELLS_PER_EDGE_MAX = 60
# Components are handed to other processes in lots of about this many edges.
LOT_EDGES = 50_000


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
class Earlier:
    """A matching of the same packages on fewer edges: partner (n,) or UNASSIGNED, and its prices, partner_ms (m,)."""

    partner: Ints
    partner_ms: Floats


def components(graph: Graph) -> Ints:
    """Return (n,): the component of each package, numbered from 0 in the order of their first packages."""
    n, m = len(graph.left_out_ms), len(graph.slots)
    joined = csr_array(
        (
            np.ones(len(graph.partner), dtype=np.int8),
            graph.partner + n,
            np.append(graph.offsets, [graph.offsets[-1]] * m),
        ),
        shape=(n + m, n + m),
    )
    label = connected_components(joined, directed=False)[1][:n]
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def assign(
    graph: Graph, component: Ints, wanted: Bools, executor: Executor | None = None, earlier: Earlier | None = None
) -> Ints:
    """Return (n,): each package's edge in the optimum, or UNASSIGNED; only for components that `wanted` marks.

    component: (n,) as components() gives it. wanted: (components,). The answer does not depend on the executor.
    earlier: makes it faster; where several matchings are optimal, another one may be found.
    """
    chosen = np.full(len(graph.left_out_ms), UNASSIGNED, dtype=np.int64)
    packages = np.flatnonzero(wanted[component] & (graph.lengths > 0))
    if not len(packages):
        return chosen
    cheapest = _cheapest_edges(graph, packages)
    contended = _contended(graph, component, packages, cheapest, len(wanted))
    easy = ~contended[component[packages]]
    chosen[packages[easy]] = cheapest[easy]
    hard = packages[~easy]
    order = hard[np.argsort(component[hard], kind="stable")]
    bounds = np.flatnonzero(np.diff(component[order], prepend=-1, append=-1))
    possible = None if earlier is None or not len(hard) else _possible(graph, component, earlier)
    lots = _lots(graph, [order[start:end] for start, end in pairwise(bounds)])
    parts = [[_part(graph, members, possible) for members in lot] for lot in lots]
    tasks = [[task for _, task in lot] for lot in parts]
    solved = executor.map(_solve_lot, tasks) if executor is not None and len(tasks) > 1 else map(_solve_lot, tasks)
    for lot, part, places in zip(lots, parts, solved, strict=True):
        for members, (edges, _), place in zip(lot, part, places, strict=True):
            chosen[members] = np.append(edges, UNASSIGNED)[place]
    return chosen


def _possible(graph: Graph, component: Ints, earlier: Earlier) -> Bools:
    """Return (e,): which edges may be in an optimum.

    Prices that are at most 0 bound every matching from below, and the earlier one bounds the optimum from above. An
    edge that exceeds the prices of its ends by more than the gap between the two would lift the bound above the
    optimum.
    """
    package, lengths = graph.package, graph.lengths
    over_partner = graph.cost_ms - earlier.partner_ms[graph.partner]
    worth, some = graph.left_out_ms.copy(), np.flatnonzero(lengths)
    worth[some] = np.minimum(worth[some], np.minimum.reduceat(over_partner, graph.offsets[some]))
    paid = graph.left_out_ms.copy()
    held = np.flatnonzero(graph.partner == earlier.partner[package])
    paid[package[held]] = over_partner[held]
    gap = np.bincount(component, paid - worth)
    possible: Bools = over_partner - worth[package] <= gap[component[package]]
    return possible


def _cheapest_edges(graph: Graph, packages: Ints) -> Ints:
    """Return each package's cheapest edge, the first where several are, or UNASSIGNED where leaving out is cheaper."""
    starts, lengths = graph.offsets[packages], graph.lengths[packages]
    edges = np.repeat(starts, lengths) + within(lengths)
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    least = np.minimum.reduceat(graph.cost_ms[edges], firsts)
    equal = np.flatnonzero(graph.cost_ms[edges] == np.repeat(least, lengths))
    first_equal = equal[np.searchsorted(equal, firsts)]
    return np.where(least <= graph.left_out_ms[packages], edges[first_equal], UNASSIGNED)


def _contended(graph: Graph, component: Ints, packages: Ints, cheapest: Ints, count: int) -> Bools:
    """Return (components,): whether some partner is the cheapest one of more packages than it may get."""
    served = cheapest != UNASSIGNED
    partner = graph.partner[cheapest[served]]
    demand = np.bincount(partner, minlength=len(graph.slots))
    over = demand[partner] > graph.slots[partner]
    contended = np.zeros(count, dtype=bool)
    contended[component[packages[served][over]]] = True
    return contended


def _lots(graph: Graph, groups: Sequence[Ints]) -> list[list[Ints]]:
    """Return the components in lots of about LOT_EDGES, the same whoever solves them."""
    lots: list[list[Ints]] = []
    edges = LOT_EDGES
    for members in groups:
        if edges >= LOT_EDGES:
            lots.append([])
            edges = 0
        lots[-1].append(members)
        edges += int(graph.lengths[members].sum())
    return lots


_Part = tuple[Ints, Ints, Floats, Floats, Ints]


def _part(graph: Graph, members: Ints, possible: Bools | None) -> tuple[Ints, _Part]:
    """Return a component's edges, and what it is: each edge's package and partner, both from 0, costs and slots."""
    starts, lengths = graph.offsets[members], graph.lengths[members]
    edges, row = np.repeat(starts, lengths) + within(lengths), np.repeat(np.arange(len(members)), lengths)
    if possible is not None:
        kept = possible[edges]
        edges, row = edges[kept], row[kept]
    partners, column = np.unique(graph.partner[edges], return_inverse=True)
    return edges, (row, column, graph.cost_ms[edges], graph.left_out_ms[members], graph.slots[partners])


def _solve_lot(parts: Sequence[_Part]) -> list[Ints]:
    return [solve_component(*part) for part in parts]


def solve_component(row: Ints, column: Ints, cost_ms: Floats, left_out_ms: Floats, slots: Ints) -> Ints:
    """Return (n,): each package's edge, or UNASSIGNED.

    row, column, cost_ms: (e,) package, partner and cost of each edge, by package. left_out_ms: (n,). slots: (m,).
    """
    n = len(left_out_ms)
    # A partner never needs more slots than packages could use.
    copies = np.minimum(slots, np.bincount(column, minlength=len(slots)))
    cells = n * (int(copies.sum()) + n)
    slot_edges = int(copies[column].sum()) + n
    if cells <= DENSE_CELLS_MAX and cells <= DENSE_CELLS_PER_EDGE_MAX * slot_edges:
        partner = _solve_dense(row, column, cost_ms, left_out_ms, copies)
    else:
        partner = _solve_sparse(row, column, cost_ms, left_out_ms, copies)
    hit = np.flatnonzero(column == partner[row])
    edge = np.full(n, UNASSIGNED, dtype=np.int64)
    edge[row[hit]] = hit
    return edge


def _solve_dense(row: Ints, column: Ints, cost_ms: Floats, left_out_ms: Floats, copies: Ints) -> Ints:
    """Return (n,): the partner of each package, or UNASSIGNED."""
    n = len(left_out_ms)
    dense = np.full((n, len(copies)), np.inf)
    dense[row, column] = cost_ms
    owner = np.repeat(np.arange(len(copies)), copies)
    # Behind the slots, a column for leaving each package out.
    dense = np.concatenate([dense[:, owner], np.where(np.eye(n, dtype=bool), left_out_ms[:, None], np.inf)], axis=1)
    _, taken = linear_sum_assignment(dense)
    return np.append(owner, np.full(n, UNASSIGNED))[taken]


def _solve_sparse(row: Ints, column: Ints, cost_ms: Floats, left_out_ms: Floats, copies: Ints) -> Ints:
    """Return the same from the edges alone."""
    n, owner = len(left_out_ms), np.repeat(np.arange(len(copies)), copies)
    firsts = np.concatenate([[0], np.cumsum(copies)[:-1]])
    repeats = copies[column]
    slot = np.repeat(firsts[column], repeats) + within(repeats)
    slot_row = np.repeat(row, repeats)
    # Each row ends with its column for leaving the package out.
    ends = np.cumsum(np.bincount(slot_row, minlength=n) + 1)
    place = np.arange(len(slot)) + slot_row
    columns, values = np.empty(len(slot) + n, dtype=np.int32), np.empty(len(slot) + n)
    columns[place], columns[ends - 1] = slot, len(owner) + np.arange(n)
    # Stored zeros would count as missing.
    values[place], values[ends - 1] = np.repeat(cost_ms, repeats) + 1.0, left_out_ms + 1.0
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    matrix = csr_array((values, columns, offsets), shape=(n, len(owner) + n))
    _, taken = min_weight_full_bipartite_matching(matrix)
    return np.append(owner, np.full(n, UNASSIGNED))[taken]
