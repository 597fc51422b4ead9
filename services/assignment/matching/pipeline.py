"""The optimum of the whole problem without ever building all of its pairs: column generation over near pairs.

Each package starts with its nearest partners. The matching that is optimal on these edges has dual prices, and a pair
can improve it only where it costs less than the prices of its two sides. Since the partners' prices are at most 0 and a
pair costs at least the way to the pickup, partners beyond a package's own price cannot improve anything. So the
neighbourhoods of just those packages grow whose price reaches beyond them; what is found is priced, kept, and becomes
an edge as soon as the prices say that it could improve the answer. When no pair can, the matching is the optimum of the
full dense problem, and the prices are the proof (Dantzig and Wolfe 1960, doi:10.1287/opre.8.1.101; for assignment,
Bertsekas 1981, doi:10.1007/BF01584237).

Costs are whole milliseconds below 2^30; leaving a package out costs 2^49 where as many as possible are to be matched,
more than any rearrangement of 250,000 packages could save. All sums that decide are exact in float64.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED, Graph, assign, components
from services.assignment.matching.candidates import Neighbours, SpatialIndex
from services.assignment.matching.certificate import Certificate, bound_ms, exact_sum_ms
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.prices import package_prices, prices_of
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rulebook import MS, RuleBook

LEFT_OUT_MS = float(2**49)
NEIGHBOURS_FIRST = 16
GROWTH, GROWTH_LEFT_OUT = 2, 8


@dataclass(frozen=True)
class Solved:
    """partner: (n,) or UNASSIGNED; cost_ms: (n,) of the matched, 0 elsewhere; what was looked at, and the proof."""

    partner: Ints
    cost_ms: Floats
    certificate: Certificate
    edges_priced: int
    rounds: int
    build_ms: float
    solve_ms: float


def solve(
    problem: Problem, book: RuleBook, executor: Executor | None = None, clock_s: Callable[[], float] = float
) -> Solved:
    """Return the optimal matching by slots; RuleFaultError when a rule is broken.

    Components are solved by `executor`, where one is given; the answer is the same. `clock_s` measures the stages and
    decides nothing.
    """
    return _Pipeline(problem, book, executor, clock_s).run()


class _Pool:
    """Every pair that was looked at, ordered by package and partner; `active` ones are edges.

    Where a pair is not `exact`, its cost is a lower bound.
    """

    def __init__(self, partners: int) -> None:
        self._partners = max(1, partners)
        self.key = np.zeros(0, dtype=np.int64)
        self.cost_ms = np.zeros(0)
        self.active = np.zeros(0, dtype=bool)
        self.exact = np.zeros(0, dtype=bool)

    def unknown(self, package: Ints, partner: Ints) -> Bools:
        """Say which pairs are not in the pool."""
        key = package * self._partners + partner
        at = np.minimum(np.searchsorted(self.key, key), max(0, len(self.key) - 1))
        return self.key[at] != key if len(self.key) else np.ones(len(key), dtype=bool)

    def add(self, package: Ints, partner: Ints, cost_ms: Floats, *, active: bool) -> None:
        """Take in pairs that it does not have."""
        key = np.concatenate([self.key, package * self._partners + partner])
        order = np.argsort(key, kind="stable")
        self.key = key[order]
        self.cost_ms = np.concatenate([self.cost_ms, cost_ms])[order]
        self.active = np.concatenate([self.active, np.isfinite(cost_ms) & active])[order]
        self.exact = np.concatenate([self.exact, np.isposinf(cost_ms) | active])[order]

    @property
    def package(self) -> Ints:
        """Return (e,)."""
        return self.key // self._partners

    @property
    def partner(self) -> Ints:
        """Return (e,)."""
        return self.key % self._partners


class _Pipeline:
    def __init__(
        self, problem: Problem, book: RuleBook, executor: Executor | None, clock_s: Callable[[], float]
    ) -> None:
        n, m = len(problem.packages), len(problem.partners)
        self.problem, self.book, self.executor = problem, book, executor
        started_s = clock_s()
        self.index = SpatialIndex(problem, book.travel_weight)
        self.floor_ms = book.floor_ms(problem)
        self.left_out_ms = np.minimum(np.rint(problem.packages.left_out_cost_s * MS), LEFT_OUT_MS)
        self.pool = _Pool(m)
        self.count = np.zeros(n, dtype=np.int64)
        self.reach_ms = np.zeros(n)
        self.edge = np.full(n, UNASSIGNED, dtype=np.int64)
        self.matched_partner = self.edge
        self.partner_ms = np.zeros(m)
        self.clock_s = clock_s
        self.priced, self.build_s, self.solve_s = 0, clock_s() - started_s, 0.0

    def run(self) -> Solved:
        n = len(self.problem.packages)
        if n:
            self._look(np.arange(n), np.full(n, NEIGHBOURS_FIRST, dtype=np.int64), active=True)
        touched, rounds = np.ones(n, dtype=bool), 0
        while rounds == 0 or touched.any():
            rounds += 1
            self._solve(touched)
            touched = self._improve()
        return self._solved(rounds)

    def _look(self, packages: Ints, counts: Ints, *, active: bool) -> None:
        """Price the `counts` nearest partners of each package, as far as they are new."""
        started_s = self.clock_s()
        for count in np.unique(counts):
            rows = packages[counts == count]
            self.count[rows] = count
            self._take_in(rows, self.index.nearest(rows, int(count)), active=active)
        self.build_s += self.clock_s() - started_s

    def _look_as_far_as(self, packages: Ints, reach_ms: Floats) -> None:
        """Price the partners whose way costs at most `reach_ms`, as far as they are new."""
        started_s = self.clock_s()
        self._take_in(packages, self.index.within(packages, reach_ms), active=False)
        self.build_s += self.clock_s() - started_s

    def _take_in(self, packages: Ints, found: Neighbours, *, active: bool) -> None:
        self.reach_ms[packages] = found.reach_ms
        new = self.pool.unknown(found.package, found.partner)
        edges = Edges(self.problem, found.package[new], found.partner[new])
        self.priced += len(edges)
        # An edge needs its cost; for the others a bound may do for ever.
        cost_ms = (
            self.book.price(self.problem, edges).cost_ms if active else self.book.bound_ms(self.problem, edges)
        )
        self.pool.add(edges.package, edges.partner, cost_ms, active=active)

    def _make_exact(self, rows: Ints) -> None:
        started_s = self.clock_s()
        pool = self.pool
        edges = Edges(self.problem, pool.package[rows], pool.partner[rows])
        pool.cost_ms[rows] = self.book.price(self.problem, edges).cost_ms
        pool.exact[rows] = True
        self.build_s += self.clock_s() - started_s

    def _solve(self, touched: Bools) -> None:
        """Solve the components in which a package is touched, and their prices, on the active edges."""
        started_s = self.clock_s()
        pool, problem = self.pool, self.problem
        active = np.flatnonzero(pool.active)
        offsets = np.searchsorted(pool.package[active], np.arange(len(problem.packages) + 1))
        self.graph = Graph(
            offsets, pool.partner[active], pool.cost_ms[active], self.left_out_ms, problem.partners.units_max
        )
        component = components(self.graph)
        wanted = np.zeros(component.max(initial=-1) + 1, dtype=bool)
        wanted[component[touched]] = True
        again = np.flatnonzero(wanted[component])
        before = self.matched_partner
        self.edge = assign(self.graph, component, wanted, self.executor)
        self._keep(before, np.flatnonzero(~wanted[component]))
        self.partner_ms = prices_of(self.graph, self.edge, again, self.partner_ms)
        taken = np.append(self.graph.partner, UNASSIGNED)
        self.matched_partner = taken[self.edge]
        self.solve_s += self.clock_s() - started_s

    def _keep(self, before: Ints, packages: Ints) -> None:
        """Find the edges again that untouched packages have in the new graph."""
        matched = packages[before[packages] != UNASSIGNED]
        m = max(1, len(self.problem.partners))
        keys = self.graph.package * m + self.graph.partner
        self.edge[matched] = np.searchsorted(keys, matched * m + before[matched])

    def _improve(self) -> Bools:
        """Make edges of pairs that could improve the matching; return (n,) the packages that got any."""
        n = len(self.problem.packages)
        u = package_prices(self.graph, self.edge, np.arange(n), self.partner_ms)
        short = np.flatnonzero(np.isfinite(self.reach_ms) & (self.reach_ms + self.floor_ms < u))
        if len(short):
            # A price that stems from a package left out says nothing of how far to look: some more may do.
            vast = u[short] > LEFT_OUT_MS / 4
            near, far = short[~vast], short[vast]
            self._look_as_far_as(near, u[near] - self.floor_ms[near])
            left_out = self.edge[far] == UNASSIGNED
            self._look(far, self.count[far] * np.where(left_out, GROWTH_LEFT_OUT, GROWTH), active=False)
        pool = self.pool
        package, worth = pool.package, u[pool.package] + self.partner_ms[pool.partner]
        self._make_exact(np.flatnonzero(~pool.exact & (pool.cost_ms < worth)))
        better = ~pool.active & (pool.cost_ms < worth)
        touched = np.zeros(n, dtype=bool)
        touched[package[better]] = True
        pool.active |= better
        # Nothing better so far, but some have not seen as far as their price reaches.
        if not touched.any() and len(short):
            return self._improve()
        return touched

    def _solved(self, rounds: int) -> Solved:
        n = len(self.problem.packages)
        u = package_prices(self.graph, self.edge, np.arange(n), self.partner_ms)
        matched = self.edge != UNASSIGNED
        cost_ms = np.where(matched, np.append(self.graph.cost_ms, 0.0)[self.edge], 0.0)
        matched_ms = exact_sum_ms(cost_ms)
        objective_ms = matched_ms + exact_sum_ms(self.left_out_ms[~matched])
        lower_bound_ms = bound_ms(u, self.partner_ms, self.graph.slots)
        certificate = Certificate(u, self.partner_ms, self.left_out_ms, matched_ms, objective_ms, lower_bound_ms)
        return Solved(
            self.matched_partner, cost_ms, certificate, self.priced, rounds, self.build_s * MS, self.solve_s * MS
        )
