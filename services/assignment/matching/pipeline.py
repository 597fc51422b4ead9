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

from services.assignment.matching.assignment import UNASSIGNED, Earlier, Graph, assign, components
from services.assignment.matching.candidates import SpatialIndex
from services.assignment.matching.certificate import Certificate, bound_ms, exact_sum_ms
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.prices import package_prices, prices_of
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.routes import least
from services.assignment.matching.rulebook import MS, RuleBook

LEFT_OUT_MS = float(2**49)
NEIGHBOURS_FIRST, POSSIBLE_FIRST = 6, 4
GROWTH = 4
# How much farther a package looks each time that its price reaches beyond its neighbourhood.
REACH_GROWTH, REACH_MS_MIN = 4.0, 10_000.0
# Packages that are left out look at every partner at once while that is at most so many pairs.
AT_ONCE_PAIRS_MAX = 300_000
# Pairs of such a package that are priced before the next round.
PRICED_OF_VAST_MAX = 16


@dataclass(frozen=True)
class Solved:
    """partner: (n,) or UNASSIGNED; cost_ms: (n,) of the matched, 0 elsewhere; what was looked at, and the proof.

    hopeless: (n,) packages that no partner could take. graph: the candidate pairs that the optimum was found on.
    """

    partner: Ints
    cost_ms: Floats
    certificate: Certificate
    edges_priced: int
    rounds: int
    build_ms: float
    solve_ms: float
    hopeless: Bools
    graph: Graph


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
        self._look_first()
        touched, rounds = np.ones(n, dtype=bool), 0
        while rounds == 0 or touched.any():
            rounds += 1
            self._solve(touched)
            touched = self._improve()
        return self._solved(rounds)

    def _look_first(self) -> None:
        """Make edges of each package's nearest partners, some more where the rules leave few of them."""
        started_s = self.clock_s()
        n, count, few = len(self.problem.packages), NEIGHBOURS_FIRST, np.arange(len(self.problem.packages))
        while len(few) and count <= NEIGHBOURS_FIRST * GROWTH**2:
            found = self.index.nearest(few, count)
            self.count[few], self.reach_ms[few] = count, found.reach_ms
            new = self.pool.unknown(found.package, found.partner)
            edges = Edges(self.problem, found.package[new], found.partner[new])
            self.priced += len(edges)
            self.pool.add(edges.package, edges.partner, self.book.price(self.problem, edges).cost_ms, active=True)
            possible = np.bincount(self.pool.package[self.pool.active], minlength=n)
            few = few[(possible[few] < POSSIBLE_FIRST) & np.isfinite(self.reach_ms[few])]
            count *= GROWTH
        self.build_s += self.clock_s() - started_s

    def _look_on(self, short: Ints, worth_ms: Floats) -> None:
        """Take in more partners of the packages `short`: as many as their prices `worth_ms`, (short,), reach to.

        What is new in the pool has a lower bound of its cost; it may do for ever.
        """
        started_s = self.clock_s()
        # A price that stems from a package left out says nothing of how far to look: some more partners may do.
        vast = worth_ms > LEFT_OUT_MS / 4
        vast &= ~((self.edge[short] == UNASSIGNED) & (vast.sum() * len(self.problem.partners) <= AT_ONCE_PAIRS_MAX))
        near, far = short[~vast], short[vast]
        # Prices fall with what is found: to look as far as they reach at once would be to look too far.
        reach_ms = np.minimum(worth_ms[~vast] - self.floor_ms[near], REACH_GROWTH * self.reach_ms[near] + REACH_MS_MIN)
        found = [self.index.within(near, reach_ms)]
        self.reach_ms[near] = found[0].reach_ms
        for count in np.unique(self.count[far]) * GROWTH:
            rows = far[self.count[far] * GROWTH == count]
            found.append(self.index.nearest(rows, int(count)))
            self.reach_ms[rows] = found[-1].reach_ms
        self.count[far] *= GROWTH
        package = np.concatenate([part.package for part in found])
        partner = np.concatenate([part.partner for part in found])
        new = self.pool.unknown(package, partner)
        edges = Edges(self.problem, package[new], partner[new])
        self.priced += len(edges)
        self.pool.add(edges.package, edges.partner, self.book.bound_ms(self.problem, edges), active=False)
        self.build_s += self.clock_s() - started_s

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
        self.edge = assign(self.graph, component, wanted, self.executor, Earlier(before, self.partner_ms))
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
        n, pool = len(self.problem.packages), self.pool
        u = package_prices(self.graph, self.edge, np.arange(n), self.partner_ms)
        touched = np.zeros(n, dtype=bool)
        while not touched.any():
            short = np.flatnonzero(np.isfinite(self.reach_ms) & (self.reach_ms + self.floor_ms < u))
            if len(short):
                self._look_on(short, u[short])
            package, worth = pool.package, u[pool.package] + self.partner_ms[pool.partner]
            open_rows = np.flatnonzero(~pool.exact & (pool.cost_ms < worth))
            # A price that stems from a package left out makes every pair worth a look; the likeliest come first.
            vast = u[package[open_rows]] > LEFT_OUT_MS / 4
            likely = least(package, pool.cost_ms, open_rows[vast], PRICED_OF_VAST_MAX)
            self._make_exact(np.concatenate([open_rows[~vast], likely]))
            better = ~pool.active & pool.exact & (pool.cost_ms < worth)
            touched[package[better]] = True
            pool.active |= better
            if not len(short) and len(likely) == vast.sum():
                break
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
        possible = np.zeros(n, dtype=bool)
        possible[self.pool.package[np.isfinite(self.pool.cost_ms)]] = True
        return Solved(
            partner=self.matched_partner,
            cost_ms=cost_ms,
            certificate=certificate,
            edges_priced=self.priced,
            rounds=rounds,
            build_ms=self.build_s * MS,
            solve_ms=self.solve_s * MS,
            graph=self.graph,
            hopeless=~possible & np.isposinf(self.reach_ms),
        )
