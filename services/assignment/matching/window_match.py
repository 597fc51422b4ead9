"""A window's matching with routes and, where packages are many, bundles: what each package got, and why.

Under pressure, packages are bundled first, and matched in rounds in which a partner gets one unit each, so that what
the next one costs is worked out from the route that the partner has by then. A bundle that nobody takes falls apart,
and its packages are matched by themselves. Whoever is unassigned in the end is so as a package of its own, and its
explanation says why. A rule that breaks in any round, or in the explanations, is left out of all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from services.assignment.matching.answer import answer
from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.bundling import Bundled, BundleLimits, bundled
from services.assignment.matching.explain import Explanation, PartnerCost, explain
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.loads import loaded
from services.assignment.matching.match import MatchResult, match
from services.assignment.matching.planning import Plan, Ranks, planned
from services.assignment.matching.problem import UNLIMITED, Packages, Partners, Problem
from services.assignment.matching.rulebook import RuleBook
from services.assignment.matching.rules.registry import rule_book

BUNDLE_ROUNDS_MAX = 4
# Where fewer of the packages than this find others to travel with, all go by themselves: rounds would cost more than
# they save.
BUNDLED_SHARE_MIN = 0.2


@dataclass(frozen=True)
class Rest:
    """The part of a window that was matched package by package: its problem and result, and whose its rows are."""

    problem: Problem
    result: MatchResult
    rows: Ints


@dataclass(frozen=True)
class WindowMatch:
    """partner, cost_s: (n,) as in MatchResult; of a bundle's cost each package has an equal share.

    plan: places in the routes, for the window's packages. bundles: how many bundles of several packages were matched.
    book: the rules that took part, with those that were broken.
    """

    partner: Ints
    cost_s: Floats
    plan: Plan
    explanations: Sequence[Explanation]
    rest: Rest
    book: RuleBook
    bundles: int
    build_ms: float
    solve_ms: float


def match_window(
    problem: Problem,
    ranks: Ranks,
    limits: BundleLimits | None,
    absent: Mapping[str, int],
    clock_s: Callable[[], float] = float,
    *,
    book: RuleBook | None = None,
    executor: Executor | None = None,
) -> WindowMatch:
    """Match a window's packages, in bundles where `limits` are given; ranks are those of the partners' stops.

    Components are solved by `executor`, where one is given; the answer is the same.
    A rule that breaks, at whichever pair, takes no part: then all is matched again without it.
    """
    book = rule_book(problem.policy) if book is None else book
    units = bundled(problem, limits) if limits is not None else None
    while True:
        try:
            return _matched(problem, ranks, units, absent, clock_s, book, executor)
        except RuleFaultError as fault:
            if fault.rule not in {weighed.rule.name for weighed in book.rules}:
                raise
            book = book.without(fault)


def _matched(
    problem: Problem,
    ranks: Ranks,
    units: Bundled | None,
    absent: Mapping[str, int],
    clock_s: Callable[[], float],
    book: RuleBook,
    executor: Executor | None,
) -> WindowMatch:
    n = len(problem.packages)
    if units is None or len(units.members) >= (1 - BUNDLED_SHARE_MIN) * n:
        result, explanations = answer(problem, clock_s, book=book, absent=absent, executor=executor)
        plan = planned(problem, ranks, result.partner, result.cost_s)
        rest = Rest(problem, result, np.arange(n))
        return WindowMatch(
            result.partner, result.cost_s, plan, explanations, rest, result.book, 0, result.build_ms, result.solve_ms
        )
    return _in_bundles(_Rounds(problem, ranks, absent, clock_s, book, executor), units)


def under_pressure(problem: Problem, packages_per_partner: float) -> bool:
    """Say whether there are more packages for each partner who may get one than this."""
    return len(problem.packages) > packages_per_partner * int((problem.partners.units_max > 0).sum())


class _Rounds:
    """A window that is matched unit by unit: what each of its packages got, and how the partners stand by now."""

    def __init__(
        self,
        problem: Problem,
        ranks: Ranks,
        absent: Mapping[str, int],
        clock_s: Callable[[], float],
        book: RuleBook,
        executor: Executor | None,
    ) -> None:
        n = len(problem.packages)
        self.problem, self.partners, self.ranks = problem, problem.partners, ranks
        self.absent, self.clock_s, self.book, self.executor = absent, clock_s, book, executor
        self.partner, self.cost_s = np.full(n, UNASSIGNED, dtype=np.int64), np.zeros(n)
        self.pickup_rank, self.drop_rank = np.full(n, np.nan), np.full(n, np.nan)
        self.explanations: dict[int, Explanation] = {}
        self.build_ms = self.solve_ms = 0.0

    def match(self, packages: Packages, members: Sequence[Ints], units_each: int) -> tuple[Problem, MatchResult]:
        """Match units among what room is left, each to the routes as they are, and put them into the routes.

        Raises RuleFaultError for a rule that breaks after others have been matched by it.
        """
        units_max = np.minimum(self.partners.units_max, units_each)
        problem = self._problem(packages, replace(self.partners, units_max=units_max))
        result = match(problem, self.clock_s, book=self.book, executor=self.executor)
        known = len(self.book.faults)
        if self.explanations and len(result.book.faults) > known:
            raise result.book.faults[known]
        self.book = result.book
        plan = planned(problem, self.ranks, result.partner, result.cost_s, members, self.problem.packages)
        taken = np.flatnonzero(result.partner != UNASSIGNED)
        for unit, said in zip(taken, explain(problem, result, self.absent, taken), strict=True):
            rows = members[int(unit)]
            self.partner[rows], self.cost_s[rows] = result.partner[unit], result.cost_s[unit] / len(rows)
            self.pickup_rank[rows], self.drop_rank[rows] = plan.pickup_rank[rows], plan.drop_rank[rows]
            self.explanations |= dict.fromkeys(rows.tolist(), _shared(said, len(rows)))
        self.partners = replace(loaded(packages, self.partners, result.partner), routes=plan.routes)
        self.ranks = plan.ranks
        self.build_ms, self.solve_ms = self.build_ms + result.build_ms, self.solve_ms + result.solve_ms
        return problem, result

    def _problem(self, packages: Packages, partners: Partners) -> Problem:
        policy, longest = self.problem.policy, int(partners.routes.lengths.max(initial=0))
        wide = replace(policy, route_stops_max=max(policy.route_stops_max, longest))
        return replace(self.problem, packages=packages, partners=partners, policy=wide)


def _in_bundles(rounds: _Rounds, units: Bundled) -> WindowMatch:
    problem, members, bundles = rounds.problem, list(units.members), 0
    left = np.arange(len(members))
    for _ in range(BUNDLE_ROUNDS_MAX):
        _, result = rounds.match(units.packages.taken(left), [members[unit] for unit in left], 1)
        taken = result.partner != UNASSIGNED
        bundles += sum(len(members[unit]) > 1 for unit in left[taken])
        left = left[~taken]
        if not taken.any() or not len(left):
            break
    rows = np.flatnonzero(rounds.partner == UNASSIGNED)
    rest, result = rounds.match(problem.packages.taken(rows), [np.array([row]) for row in rows], UNLIMITED)
    unassigned = np.flatnonzero(result.partner == UNASSIGNED)
    for row, said in zip(rows[unassigned], explain(rest, result, rounds.absent, unassigned), strict=True):
        rounds.explanations[int(row)] = said
    return WindowMatch(
        rounds.partner,
        rounds.cost_s,
        Plan(rounds.pickup_rank, rounds.drop_rank, rounds.partners.routes, rounds.ranks),
        [rounds.explanations[row] for row in range(len(problem.packages))],
        Rest(rest, result, rows),
        rounds.book,
        bundles,
        rounds.build_ms,
        rounds.solve_ms,
    )


def _shared(explanation: Explanation, size: int) -> Explanation:
    """Return what is said of a bundle, with one package's share of the costs."""

    def share(cost: PartnerCost) -> PartnerCost:
        terms_s = {name: value / size for name, value in cost.terms_s.items()}
        return replace(cost, cost_s=cost.cost_s / size, terms_s=terms_s)

    return replace(
        explanation,
        chosen=share(explanation.chosen) if explanation.chosen else None,
        alternatives=tuple(share(cost) for cost in explanation.alternatives),
    )
