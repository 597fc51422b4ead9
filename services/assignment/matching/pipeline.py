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

from services.assignment.matching.assignment import UNASSIGNED, Graph, assign, check_optimal
from services.assignment.matching.candidates import Neighbours, nearby
from services.assignment.matching.certificate import Certificate, bound_ms, exact_sum_ms
from services.assignment.matching.edges import Edges, KnownCosts
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.groups import grouped, least
from services.assignment.matching.problem import Bools, Partners, Problem
from services.assignment.matching.rulebook import MS, RuleBook

LEFT_OUT_MS = float(2**49)
POSSIBLE_FIRST, EDGES_FIRST = 2, 8
GROWTH = 4
# How much farther a package looks each time that its price reaches beyond its neighbourhood.
REACH_GROWTH, REACH_MS_MIN = 4.0, 10_000.0
# Pairs that cost so much too much are edges too, once their package gets any; those that improve most come first.
NEARLY_MS, NEW_EDGES_MAX = 60_000.0, 80
# Packages that are left out look at every partner at once while that is at most so many pairs.
AT_ONCE_PAIRS_MAX = 300_000
# Pairs of such a package that are priced before the next round.
PRICED_OF_VAST_MAX = 16


@dataclass(frozen=True)
class Solved:
    """partner: (n,) or UNASSIGNED; cost_ms: (n,) of the matched, 0 elsewhere; what was looked at, and the proof.

    hopeless: (n,) packages that no partner could take. graph: the candidate pairs that the optimum was found on. known:
    what pairs cost that had to be priced.
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
    known: KnownCosts


def solve(
    problem: Problem, book: RuleBook, executor: Executor | None = None, clock_s: Callable[[], float] = float
) -> Solved:
    """Return the optimal matching by slots, as Pipeline does."""
    return Pipeline(problem, book, executor, clock_s).run()


class _Pool:
    """Every pair that was looked at and may be possible; `active` ones are edges.

    Where a pair is not `exact`, its cost is a lower bound; quick_ms is what it costs without the slow rules.
    """

    def __init__(self) -> None:
        self.package = np.zeros(0, dtype=np.int64)
        self.partner = np.zeros(0, dtype=np.int64)
        self.cost_ms, self.quick_ms = np.zeros(0), np.zeros(0)
        self.exact = np.zeros(0, dtype=bool)
        self.active = np.zeros(0, dtype=bool)

    def add(self, package: Ints, partner: Ints, quick_ms: Floats, bound_ms: Floats) -> None:
        """Take in pairs that it does not have."""
        nothing = np.zeros(len(package), dtype=bool)
        self.package = np.concatenate([self.package, package])
        self.partner = np.concatenate([self.partner, partner])
        self.quick_ms, self.cost_ms = np.append(self.quick_ms, quick_ms), np.append(self.cost_ms, bound_ms)
        self.exact = np.concatenate([self.exact, nothing])
        self.active = np.concatenate([self.active, nothing])

    def keep(self, rows: Bools) -> None:
        """Forget all other pairs."""
        for name in ("package", "partner", "quick_ms", "cost_ms", "exact", "active"):
            setattr(self, name, getattr(self, name)[rows])


class Pipeline:
    """Finds the optimal matching by slots, and remembers the pairs that it has looked at.

    Raises RuleFaultError when a rule is broken. Components are solved by `executor`, where one is given; the answer is
    the same. `clock_s` measures the stages and decides nothing.
    """

    def __init__(
        self,
        problem: Problem,
        book: RuleBook,
        executor: Executor | None = None,
        clock_s: Callable[[], float] = float,
    ) -> None:
        n = len(problem.packages)
        self.problem, self.book, self.executor = problem, book, executor
        started_s = clock_s()
        self.index = nearby(problem, book, book.partner_floor_ms(problem))
        self.floor_ms = book.floor_ms(problem)
        self.left_out_ms = np.minimum(np.rint(problem.packages.left_out_cost_s * MS), LEFT_OUT_MS)
        self.pool = _Pool()
        self.count = np.full(n, self.index.neighbours_first)
        self.reach_ms = np.full(n, -np.inf)
        self.clock_s, self.repairing = clock_s, False
        self.priced, self.build_s, self.solve_s = 0, clock_s() - started_s, 0.0

    def run(self) -> Solved:
        """Match all packages."""
        self._look_first()
        return self._optimum()

    def again(self, packages: Ints, partners: Partners) -> Solved:
        """Match some of the packages once more, by their indices, now that the partners have less room left.

        What a pair costs changes only with its partner's room.
        """
        started_s = self.clock_s()
        n, pool = len(self.problem.packages), self.pool
        asked = np.zeros(n, dtype=bool)
        asked[packages] = True
        changed = partners.units_max != self.problem.partners.units_max
        self.problem, self.repairing = self.problem.with_less_room(partners), True
        pool.keep(asked[pool.package] & (partners.units_max[pool.partner] > 0))
        known = changed[pool.partner]
        self.left_out_ms = np.where(asked, self.left_out_ms, 0.0)
        edges = Edges(self.problem, pool.package[known], pool.partner[known])
        pool.quick_ms[known], pool.cost_ms[known] = self.book.bound_ms(self.problem, edges)
        pool.exact[known] = False
        pool.keep(np.isfinite(pool.cost_ms))
        self._choose_first()
        self.build_s, self.solve_s, self.priced = self.clock_s() - started_s, 0.0, len(edges)
        return self._optimum()

    def _optimum(self) -> Solved:
        rounds, improved = 0, True
        while improved:
            rounds += 1
            self._solve()
            improved = self._improve()
        return self._solved(rounds)

    def _look_first(self) -> None:
        """Make edges of each package's likeliest partners, having looked farther where the rules leave few of them."""
        started_s = self.clock_s()
        n = len(self.problem.packages)
        few = np.arange(n)
        while len(few) and self.count[few[0]] <= self.index.neighbours_first * GROWTH**2:
            self._take_in(few, self.index.nearest(few, int(self.count[few[0]])))
            possible = np.bincount(self.pool.package, minlength=n)
            few = few[(possible[few] < POSSIBLE_FIRST) & (self.reach_ms[few] < np.inf)]
            self.count[few] *= GROWTH
        self._choose_first()
        self.build_s += self.clock_s() - started_s

    def _choose_first(self) -> None:
        """Make edges of each package's likeliest partners."""
        pool = self.pool
        first = least(pool.package, pool.cost_ms, np.arange(len(pool.package)), EDGES_FIRST)
        self._sharpen(first[~pool.exact[first]])
        pool.active = pool.exact & np.isfinite(pool.cost_ms)

    def _take_in(self, packages: Ints, found: Neighbours) -> None:
        """Take those of the found pairs into the pool that are new and may be possible."""
        new = found.least_ms > self.reach_ms[found.package]
        new &= self.problem.partners.units_max[found.partner] > 0
        # In order, so that the edges of the pool are quick to sort, however often.
        package, partner = found.package[new], found.partner[new]
        order = np.argsort(package * len(self.problem.partners) + partner)
        edges = Edges(self.problem, package[order], partner[order])
        self.priced += len(edges)
        quick_ms, bound_ms = self.book.bound_ms(self.problem, edges, screened=found.screened and not self.repairing)
        possible = np.isfinite(bound_ms)
        self.pool.add(edges.package[possible], edges.partner[possible], quick_ms[possible], bound_ms[possible])
        # A neighbourhood counted in partners may end before one that was measured.
        self.reach_ms[packages] = np.maximum(self.reach_ms[packages], found.reach_ms)

    def _look_on(self, short: Ints, worth_ms: Floats) -> None:
        """Take in more partners of the packages `short`: as many as their prices `worth_ms`, (short,), reach to."""
        # A price that stems from a package left out says nothing of how far to look: some more partners may do.
        vast = worth_ms > LEFT_OUT_MS / 4
        vast &= ~(
            (self.matching.edge[short] == UNASSIGNED) & (vast.sum() * len(self.problem.partners) <= AT_ONCE_PAIRS_MAX)
        )
        near, far = short[~vast], short[vast]
        # Prices fall with what is found: to look as far as they reach at once would be to look too far.
        farther_ms = REACH_GROWTH * np.maximum(0.0, self.reach_ms[near]) + REACH_MS_MIN
        self._take_in(near, self.index.within(near, np.minimum(worth_ms[~vast] - self.floor_ms[near], farther_ms)))
        self.count[far] *= GROWTH
        for count in np.unique(self.count[far]):
            rows = far[self.count[far] == count]
            self._take_in(rows, self.index.nearest(rows, int(count)))

    def _sharpen(self, rows: Ints) -> None:
        pool = self.pool
        edges = Edges(self.problem, pool.package[rows], pool.partner[rows])
        pool.cost_ms[rows] = self.book.sharpened_ms(self.problem, edges, pool.quick_ms[rows])
        pool.exact[rows] = True

    def _solve(self) -> None:
        """Find the optimum on the active edges, and its prices."""
        started_s = self.clock_s()
        pool = self.pool
        active = np.flatnonzero(pool.active)
        active = active[grouped(pool.package[active])]
        offsets = np.searchsorted(pool.package[active], np.arange(len(self.left_out_ms) + 1))
        slots = self.problem.partners.units_max
        self.graph = Graph(offsets, pool.partner[active], pool.cost_ms[active], self.left_out_ms, slots)
        self.matching = assign(self.graph, self.executor)
        self.solve_s += self.clock_s() - started_s

    def _improve(self) -> bool:
        """Make edges of pairs that could improve the matching; say whether there were any."""
        started_s = self.clock_s()
        n, pool = len(self.problem.packages), self.pool
        u, v = self.matching.package_ms, self.matching.partner_ms
        touched = np.zeros(n, dtype=bool)
        while not touched.any():
            short = np.flatnonzero((self.reach_ms < np.inf) & (self.reach_ms + self.floor_ms < u))
            if len(short):
                self._look_on(short, u[short])
            worth = u[pool.package] + v[pool.partner]
            open_rows = np.flatnonzero(~pool.exact & (pool.cost_ms < worth))
            # A price that stems from a package left out makes every pair worth a look; the likeliest come first.
            vast = u[pool.package[open_rows]] > LEFT_OUT_MS / 4
            likely = least(pool.package, pool.cost_ms, open_rows[vast], PRICED_OF_VAST_MAX)
            self._sharpen(np.concatenate([open_rows[~vast], likely]))
            better = ~pool.active & pool.exact & (pool.cost_ms < worth)
            touched[pool.package[better]] = True
            # What would nearly have been one of them may spare the package the next round.
            nearly = np.flatnonzero(pool.exact & (pool.cost_ms < worth + NEARLY_MS) & touched[pool.package])
            pool.active[least(pool.package, pool.cost_ms - worth, nearly, NEW_EDGES_MAX)] = True
            if not len(short) and len(likely) == vast.sum():
                break
        self.build_s += self.clock_s() - started_s
        return bool(touched.any())

    def _solved(self, rounds: int) -> Solved:
        n, pool = len(self.problem.packages), self.pool
        graph, matching = self.graph, self.matching
        check_optimal(graph, matching)
        matched = matching.edge != UNASSIGNED
        cost_ms = np.where(matched, np.append(graph.cost_ms, 0.0)[matching.edge], 0.0)
        matched_ms = exact_sum_ms(cost_ms)
        objective_ms = matched_ms + exact_sum_ms(self.left_out_ms[~matched])
        lower_bound_ms = bound_ms(matching.package_ms, matching.partner_ms, graph.slots)
        prices = (matching.package_ms, matching.partner_ms)
        certificate = Certificate(*prices, self.left_out_ms, matched_ms, objective_ms, lower_bound_ms)
        possible = np.zeros(n, dtype=bool)
        possible[pool.package[np.isfinite(pool.cost_ms)]] = True
        return Solved(
            partner=np.append(graph.partner, UNASSIGNED)[matching.edge],
            cost_ms=cost_ms,
            certificate=certificate,
            edges_priced=self.priced,
            rounds=rounds,
            build_ms=self.build_s * MS,
            solve_ms=self.solve_s * MS,
            graph=graph,
            known=KnownCosts(pool.package[pool.exact], pool.partner[pool.exact], pool.cost_ms[pool.exact]),
            hopeless=~possible & np.isposinf(self.reach_ms),
        )
