"""Shortest augmenting paths on a sparse graph with slots, compiled: an optimal assignment and its prices.

Every package whose cheapest partner has a place left gets it. Each other one looks for the cheapest chain of moves that
ends at a free slot, or with somebody left out (Dijkstra's algorithm on reduced costs; Tomizawa 1971,
doi:10.1002/net.3230010206; Edmonds and Karp 1972, doi:10.1145/321694.321699), and everyone on the chain moves on.
"""

from typing import NamedTuple

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints

NOBODY = -1


class _Edges(NamedTuple):
    """The graph; see assignment.Graph."""

    offsets: Ints
    partner: Ints
    cost_ms: Floats
    left_out_ms: Floats


class _Sides(NamedTuple):
    """The matching as it grows, of n packages and m partners, and its prices.

    edge: (n,) each package's edge or NOBODY. package_ms: (n,). partner_ms: (m,). free: (m,) slots left. holder: (m,)
    the last of a partner's packages; holder_before: (n,) the one that came before it. NOBODY where there is none.
    """

    edge: Ints
    package_ms: Floats
    partner_ms: Floats
    free: Ints
    holder: Ints
    holder_before: Ints


class _Search(NamedTuple):
    """The chains of one search, by the partner that they lead to, all (m,) but the heap, (e + 1,).

    cost_ms: of the cheapest. by_edge, by_package: its last step. is_final: 1 where nothing cheaper can come.
    reached: the partners with a chain. heap_ms, heap_partner: a binary heap of chains to partners without a free slot.
    """

    cost_ms: Floats
    by_edge: Ints
    by_package: Ints
    is_final: Ints
    reached: Ints
    heap_ms: Floats
    heap_partner: Ints


class _End(NamedTuple):
    """Where the cheapest chain ends: at a partner's free slot, or with a package that is left out."""

    cost_ms: float
    partner: int
    package: int


@compiled
def augmented(
    offsets: Ints, partner: Ints, cost_ms: Floats, left_out_ms: Floats, slots: Ints
) -> tuple[Ints, Floats, Floats]:
    """Return (n,) each package's edge or NOBODY, (n,) and (m,) the prices; arguments as in assignment.Graph."""
    n, m = len(left_out_ms), len(slots)
    edges = _Edges(offsets, partner, cost_ms, left_out_ms)
    sides = _Sides(
        np.full(n, NOBODY), left_out_ms.copy(), np.zeros(m), slots.copy(), np.full(m, NOBODY), np.full(n, NOBODY)
    )
    waiting = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        e = _cheapest(edges, i)
        if e == NOBODY:
            continue
        if sides.free[partner[e]] > 0:
            sides.package_ms[i] = cost_ms[e]
            _take(sides, i, e, partner[e])
        else:
            waiting[count] = i
            count += 1
    heap_max = len(partner) + 1 if count else 0
    search = _Search(
        np.full(m, np.inf), np.empty(m, np.int64), np.empty(m, np.int64), np.zeros(m, np.int8), np.empty(m, np.int64),
        np.empty(heap_max), np.empty(heap_max, np.int64),
    )  # fmt: skip
    for i in waiting[:count]:
        end, reached = _chain(i, edges, sides, search)
        _lower(i, end, reached, sides, search)
        _move(i, end, edges, sides, search)
        for j in search.reached[:reached]:
            search.cost_ms[j], search.is_final[j] = np.inf, 0
    return sides.edge, sides.package_ms, sides.partner_ms


@compiled
def _cheapest(edges: _Edges, i: int) -> int:
    """Return a package's cheapest edge, the first where several are, or NOBODY where leaving it out is cheaper."""
    best_ms, best = edges.left_out_ms[i], NOBODY
    for e in range(edges.offsets[i], edges.offsets[i + 1]):
        if edges.cost_ms[e] < best_ms or (best == NOBODY and edges.cost_ms[e] == best_ms):
            best_ms, best = edges.cost_ms[e], e
    return best


@compiled
def _chain(start: int, edges: _Edges, sides: _Sides, search: _Search) -> tuple[_End, int]:
    """Find the cheapest chain from a package without a partner; return its end, and how many partners were reached."""
    end = _End(edges.left_out_ms[start], NOBODY, start)
    end, heaped, reached = _extend(start, -0.0, edges, sides, search, end, 0, 0)
    while heaped:
        so_far_ms, j = search.heap_ms[0], search.heap_partner[0]
        if so_far_ms >= end.cost_ms:
            break
        heaped = _pop(search, heaped)
        if search.is_final[j]:
            continue
        search.is_final[j] = 1
        i = sides.holder[j]
        while i != NOBODY:
            base_ms = so_far_ms - sides.package_ms[i]
            end, heaped, reached = _extend(i, base_ms, edges, sides, search, end, heaped, reached)
            i = sides.holder_before[i]
    return end, reached


@compiled
def _extend(
    i: int, base_ms: float, edges: _Edges, sides: _Sides, search: _Search, end: _End, heaped: int, reached: int
) -> tuple[_End, int, int]:
    """Lengthen the chain that would move package `i` on, by each of its edges and by leaving it out."""
    if base_ms + edges.left_out_ms[i] < end.cost_ms:
        end = _End(base_ms + edges.left_out_ms[i], NOBODY, i)
    for e in range(edges.offsets[i], edges.offsets[i + 1]):
        j = edges.partner[e]
        cost_ms = base_ms + edges.cost_ms[e] - sides.partner_ms[j]
        if cost_ms >= search.cost_ms[j] or cost_ms >= end.cost_ms or search.is_final[j]:
            continue
        if search.cost_ms[j] == np.inf:
            search.reached[reached] = j
            reached += 1
        search.cost_ms[j], search.by_edge[j], search.by_package[j] = cost_ms, e, i
        if sides.free[j] > 0:
            end = _End(cost_ms, j, NOBODY)
        else:
            heaped = _push(search, heaped, cost_ms, j)
    return end, heaped, reached


@compiled
def _lower(start: int, end: _End, reached: int, sides: _Sides, search: _Search) -> None:
    """Lower the prices of the partners that chains went through, by what a chain to them is cheaper than the whole."""
    sides.package_ms[start] = end.cost_ms
    for j in search.reached[:reached]:
        if search.is_final[j]:
            saved_ms = end.cost_ms - search.cost_ms[j]
            sides.partner_ms[j] -= saved_ms
            i = sides.holder[j]
            while i != NOBODY:
                sides.package_ms[i] += saved_ms
                i = sides.holder_before[i]


@compiled
def _move(start: int, end: _End, edges: _Edges, sides: _Sides, search: _Search) -> None:
    """Move everyone on the chain one step on, from its end to its start."""
    j = end.partner
    if j == NOBODY and end.package != start:
        j = edges.partner[sides.edge[end.package]]
        _give_up(sides, end.package, j)
    while j != NOBODY:
        i, e = search.by_package[j], search.by_edge[j]
        left = NOBODY
        if i != start:
            left = edges.partner[sides.edge[i]]
            _give_up(sides, i, left)
        _take(sides, i, e, j)
        j = left


@compiled
def _take(sides: _Sides, i: int, e: int, j: int) -> None:
    sides.edge[i], sides.holder_before[i], sides.holder[j] = e, sides.holder[j], i
    sides.free[j] -= 1


@compiled
def _give_up(sides: _Sides, i: int, j: int) -> None:
    sides.edge[i] = NOBODY
    sides.free[j] += 1
    if sides.holder[j] == i:
        sides.holder[j] = sides.holder_before[i]
        return
    k = sides.holder[j]
    while sides.holder_before[k] != i:
        k = sides.holder_before[k]
    sides.holder_before[k] = sides.holder_before[i]


@compiled
def _push(search: _Search, count: int, cost_ms: float, partner: int) -> int:
    """Put a chain into the heap; return its size."""
    place = count
    while place:
        parent = (place - 1) // 2
        if search.heap_ms[parent] <= cost_ms:
            break
        search.heap_ms[place], search.heap_partner[place] = search.heap_ms[parent], search.heap_partner[parent]
        place = parent
    search.heap_ms[place], search.heap_partner[place] = cost_ms, partner
    return count + 1


@compiled
def _pop(search: _Search, count: int) -> int:
    """Take the cheapest chain out of the heap; return its size."""
    count -= 1
    cost_ms, partner = search.heap_ms[count], search.heap_partner[count]
    place = 0
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and search.heap_ms[child + 1] < search.heap_ms[child]:
            child += 1
        if search.heap_ms[child] >= cost_ms:
            break
        search.heap_ms[place], search.heap_partner[place] = search.heap_ms[child], search.heap_partner[child]
        place = child
    search.heap_ms[place], search.heap_partner[place] = cost_ms, partner
    return count
