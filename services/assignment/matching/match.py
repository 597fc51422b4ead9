"""One window's matching from end to end: the optimum by slots, loads that fit together, and broken rules left out."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.certificate import Certificate
from services.assignment.matching.edges import KnownCosts
from services.assignment.matching.exchange import exchanged
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.loads import fitting, loaded
from services.assignment.matching.pipeline import Pipeline
from services.assignment.matching.problem import Problem
from services.assignment.matching.rulebook import MS, RuleBook
from services.assignment.matching.rules.registry import rule_book

REPAIR_ROUNDS_MAX = 20


@dataclass(frozen=True)
class MatchResult:
    """partner: (n,) the index each package is matched to, or UNASSIGNED; cost_s: (n,) of each, 0 where unassigned.

    certificate proves the matching by slots optimal. `repaired` says that some of its packages were too much together
    for one partner and were matched again among what was left: then the certificate's lower bound still holds for the
    packages' costs, but the matching may not reach it. book: the rules that took part, with those that were broken.
    known: what pairs cost that had to be priced.
    """

    partner: Ints
    cost_s: Floats
    certificate: Certificate
    repaired: bool
    book: RuleBook
    known: KnownCosts
    edges_priced: int
    build_ms: float
    solve_ms: float

    @property
    def optimal(self) -> bool:
        """Say whether no matching of this problem is better."""
        return self.certificate.optimal and not self.repaired

    @property
    def total_cost_s(self) -> float:
        """Return what all matched packages cost together."""
        return float(self.cost_s.sum())

    @property
    def lower_bound_s(self) -> float:
        """Return what no matching of as many packages, or as worthwhile ones, can cost less than."""
        left_out_ms = self.certificate.objective_ms - self.certificate.matched_ms
        return (self.certificate.lower_bound_ms - left_out_ms) / MS


def match(
    problem: Problem,
    clock_s: Callable[[], float] = float,
    *,
    book: RuleBook | None = None,
    executor: Executor | None = None,
) -> MatchResult:
    """Match packages to partners. `clock_s` measures the stages and decides nothing; what it raises ends the match.

    A rule that raises, or returns what no rule may return, is left out, and the result's book names it. Raises
    ProblemError for a configuration that names no rule, or not its parameters.
    """
    book = rule_book(problem.policy) if book is None else book
    while True:
        try:
            return _matched(problem, book, executor, clock_s)
        except RuleFaultError as fault:
            if fault.rule not in {weighed.rule.name for weighed in book.rules}:
                raise
            # Each broken rule ends a try, so there are at most as many tries as rules.
            book = book.without(fault)


def _matched(problem: Problem, book: RuleBook, executor: Executor | None, clock_s: Callable[[], float]) -> MatchResult:
    pipeline = Pipeline(problem, book, executor, clock_s)
    solved = pipeline.run()
    partner, cost_ms = solved.partner, solved.cost_ms
    build_ms, solve_ms, priced = solved.build_ms, solved.solve_ms, solved.edges_priced
    fits = fitting(problem.packages, problem.partners, partner, cost_ms)
    repaired = bool((~fits & (partner != UNASSIGNED)).any())
    for _ in range(REPAIR_ROUNDS_MAX if repaired else 0):
        partner, cost_ms = np.where(fits, partner, UNASSIGNED), np.where(fits, cost_ms, 0.0)
        partners = loaded(problem.packages, problem.partners, partner)
        again = pipeline.again(np.flatnonzero(~fits & ~solved.hopeless), partners)
        build_ms, solve_ms = build_ms + again.build_ms, solve_ms + again.solve_ms
        priced += again.edges_priced
        fits_again = fitting(problem.packages, partners, again.partner, again.cost_ms)
        partner, cost_ms = np.where(fits_again, again.partner, partner), np.where(fits_again, again.cost_ms, cost_ms)
        fits = partner != UNASSIGNED
        if not (~fits_again & (again.partner != UNASSIGNED)).any():
            break
    if repaired:
        started_s = clock_s()
        partner, cost_ms = exchanged(solved.graph, problem.packages, problem.partners, solved.partner, partner, cost_ms)
        solve_ms += (clock_s() - started_s) * MS
    certificate, known = solved.certificate, solved.known
    return MatchResult(partner, cost_ms / MS, certificate, repaired, book, known, priced, build_ms, solve_ms)
