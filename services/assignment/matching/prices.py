"""Dual prices of an optimal assignment: what a package and a slot of a partner are worth, and the proof of optimality.

With the partners' prices v <= 0 and the packages' u, an assignment is optimal exactly when v is 0 where a partner has
slots left, u_i + v_j <= c_ij for every pair, with equality for matched ones, and u_i is at most what leaving i out
costs, with equality for those left out (complementary slackness; Ahuja, Magnanti and Orlin 1993, chapter 9). The prices
are shortest distances in the residual graph, found by Bellman-Ford over only those packages whose partner's price has
just changed.
"""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED, Graph
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.routes import within


class NotOptimalError(AssertionError):
    """An assignment that should be optimal is not: the prices fall for ever."""


@dataclass(frozen=True)
class Prices:
    """package_ms: (n,) and partner_ms: (m,), at most 0."""

    package_ms: Floats
    partner_ms: Floats


def prices_of(graph: Graph, edge: Ints, packages: Ints, known_ms: Floats) -> Floats:
    """Return (m,): the highest partners' prices that fit the assignment.

    edge: (n,) each package's edge or UNASSIGNED. packages: whose partners' prices are asked for, whole components;
    known_ms: (m,) keeps the prices of all others. Raises NotOptimalError where a cheaper assignment exists.
    """
    partner_ms = known_ms.copy()
    lengths = graph.lengths
    partner_ms[graph.partner[_edges_of(graph, packages, lengths[packages])]] = 0.0
    holders = packages[edge[packages] != UNASSIGNED]
    holder_of = _by_partner(graph.partner[edge[holders]], holders, len(graph.slots))
    changed = packages
    for _ in range(2 * len(graph.slots) + 2):
        worth = package_prices(graph, edge, changed, partner_ms)
        edges = _edges_of(graph, changed, lengths[changed])
        offered = graph.cost_ms[edges] - np.repeat(worth, lengths[changed])
        partner = graph.partner[edges]
        better = np.flatnonzero(offered < partner_ms[partner])
        if not len(better):
            return partner_ms
        np.minimum.at(partner_ms, partner[better], offered[better])
        fallen = np.unique(partner[better])
        starts = holder_of[0][fallen]
        counts = holder_of[0][fallen + 1] - starts
        changed = holder_of[1][np.repeat(starts, counts) + within(counts)]
    raise NotOptimalError("the partners' prices have no lower bound")


def package_prices(graph: Graph, edge: Ints, packages: Ints, partner_ms: Floats) -> Floats:
    """Return what `packages` are worth: their cost less their partner's price, or what leaving them out costs."""
    taken = edge[packages]
    matched = taken != UNASSIGNED
    worth = graph.left_out_ms[packages].copy()
    worth[matched] = graph.cost_ms[taken[matched]] - partner_ms[graph.partner[taken[matched]]]
    return worth


def _edges_of(graph: Graph, packages: Ints, lengths: Ints) -> Ints:
    result: Ints = np.repeat(graph.offsets[packages], lengths) + within(lengths)
    return result


def _by_partner(partner: Ints, packages: Ints, count: int) -> tuple[Ints, Ints]:
    """Return (offsets, packages): partner j holds packages[offsets[j]:offsets[j+1]]."""
    order = np.argsort(partner, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(partner, minlength=count))])
    return offsets.astype(np.int64), packages[order]
