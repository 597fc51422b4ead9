"""Solving a window again with something changed, as little of it as the change can reach.

Where a changed package finds a free place while all others stay where they are, the matching gains a package, and as it
had as many as possible before, every optimum of the changed window has the changed package in it. Otherwise the old
optimum differs from the new one by a single alternating path that starts at the changed package: from package to a
partner, from a full partner to a package that it holds, and so on until a free place, or a package that gives its place
up (Ahuja, Magnanti and Orlin 1993, chapter 9). What no such path reaches stays as it is and is left out of the problem.
Both hold for the optimum by slots. Where several packages of one partner are together too heavy or too large for it,
`match` repairs, and so does this: by the same code, on the part.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Ints
from services.assignment.matching.loads import loaded
from services.assignment.matching.match import MatchResult, match
from services.assignment.matching.problem import Bools, Problem

# A problem of so few pairs is solved again as a whole: that costs no more than finding out what may stay.
WHOLE_PAIRS_MAX = 5_000


class BudgetSpentError(Exception):
    """No more may be solved: what has been found so far counts, and what has not been tried is not said to be."""


@dataclass
class Budget:
    """How much may be solved again. `expired` says that the time is up; it decides how much is tried, not the answers.

    packages_max: of one window. solves_max: for one package.
    """

    packages_max: int = 20
    solves_max: int = 150
    expired: Callable[[], bool] = bool
    solves: int = 0

    def check(self) -> None:
        """Raise BudgetSpentError when nothing more may be solved."""
        if self.solves >= self.solves_max or self.expired():
            raise BudgetSpentError

    def clock_s(self) -> float:
        """Return 0, or raise BudgetSpentError when the time is up: as a match's clock, between two of its stages."""
        if self.expired():
            raise BudgetSpentError
        return 0.0

    def spend(self) -> None:
        """Count one solve; BudgetSpentError when it is one too many."""
        self.check()
        self.solves += 1


class Again:
    """A window that was solved, and what becomes of one of its packages, `row`, when something changes."""

    def __init__(self, problem: Problem, result: MatchResult, budget: Budget) -> None:
        self.problem, self.result, self.budget = problem, result, budget
        self.free = loaded(problem.packages, problem.partners, result.partner)
        self.left_out = np.flatnonzero(result.partner == UNASSIGNED)
        self._feasible: dict[int, Bools] = {}

    def assigns(self, changed: Problem, row: int) -> bool:
        """Say whether the package gets a partner when it alone has changed."""
        if self._free_places(changed, row).any():
            return True
        if len(self.problem.packages) * len(self.problem.partners) <= WHOLE_PAIRS_MAX:
            return self.assigns_as_a_whole(changed, row)
        return self._rearranged(changed, row)

    def confirms(self, changed: Problem, row: int) -> bool:
        """Solve once more what `assigns` has said of a free place: the package, and the places that are free."""
        free = self._free_places(changed, row)
        return not free.any() or self._alone(replace(changed, partners=self.free), free, row)

    def assigns_as_a_whole(self, changed: Problem, row: int) -> bool:
        """Say whether the package gets a partner, whatever has changed.

        Raises RuleFaultError for a rule that breaks where it did not in the window: without it, anything could help.
        """
        self.budget.spend()
        result, known = match(changed, self.budget.clock_s, book=self.result.book), len(self.result.book.faults)
        if len(result.book.faults) > known:
            raise result.book.faults[known]
        return bool(result.partner[row] != UNASSIGNED)

    def assigns_first(self, changed: Problem, row: int, partners: Ints) -> bool:
        """Say whether the package gets the place that has been added with each of `partners`, each by itself.

        Where no other package is left out it does, if it can take the place at all. Otherwise, in a window that is too
        large to be solved again, the prices of the matching answer: a new place goes where it saves most, and no chain
        of packages that move up saves more than the first of them would. Where such a chain would end with this
        package, it would get a partner too: then the answer is False although True would be right.
        """
        n, k = len(changed.packages), len(partners)
        kept = replace(changed, partners=loaded(changed.packages, changed.partners, self.result.partner))
        edges = Edges(kept, np.repeat(np.arange(n), k), np.tile(partners, n))
        cost_ms = self.result.book.price(kept, edges).cost_ms.reshape(n, k)
        if not np.isfinite(cost_ms[row]).all():
            return False
        if len(self.left_out) > 1:
            if n * len(self.problem.partners) <= WHOLE_PAIRS_MAX:
                return all(self.assigns_as_a_whole(_only(changed, partners, int(one)), row) for one in partners)
            saved = cost_ms - self.result.certificate.package_ms[:, None]
            if not (saved[row] < np.minimum(0.0, np.delete(saved, row, axis=0).min(axis=0, initial=0.0))).all():
                return False
        able = np.isin(np.arange(len(changed.partners)), partners)
        return self._alone(kept, able, row)

    def feasible(self, changed: Problem, row: int) -> Bools:
        """Return (m,): the partners that a package could go to, full ones included."""
        m = len(changed.partners)
        edges = Edges(changed, np.full(m, row), np.arange(m))
        possible: Bools = self.result.book.feasible(changed, edges) & (changed.partners.units_max > 0)
        return possible

    def _free_places(self, changed: Problem, row: int) -> Bools:
        return self.feasible(replace(changed, partners=self.free), row)

    def _alone(self, changed: Problem, able: Bools, row: int) -> bool:
        """Solve for the package by itself, among some of the partners."""
        partners = replace(changed.partners, units_max=np.where(able, changed.partners.units_max, 0))
        alone = replace(changed, packages=changed.packages.taken(np.array([row])), partners=partners)
        return self.assigns_as_a_whole(alone, 0)

    def _rearranged(self, changed: Problem, row: int) -> bool:
        reached = self.feasible(changed, row)
        if not reached.any():
            return False
        members = self._reach(row, reached)
        # The others keep their places.
        outside = self.result.partner.copy()
        outside[members] = UNASSIGNED
        partners = loaded(changed.packages, changed.partners, outside)
        partners = replace(partners, units_max=np.where(reached, partners.units_max, 0))
        part = replace(changed, packages=changed.packages.taken(members), partners=partners)
        return self.assigns_as_a_whole(part, int(np.searchsorted(members, row)))

    def _reach(self, row: int, reached: Bools) -> Ints:
        """Return the packages on any alternating path, and mark the partners on one in `reached`."""
        held_by, full = self.result.partner, self.free.units_max <= 0
        member = np.zeros(len(held_by), dtype=bool)
        member[row] = True
        while True:
            new = np.flatnonzero((held_by != UNASSIGNED) & ~member & (reached & full)[held_by])
            if not len(new):
                return np.flatnonzero(member)
            member[new] = True
            for package in new:
                self.budget.check()
                reached |= self._known(int(package))

    def _known(self, package: int) -> Bools:
        if package not in self._feasible:
            self._feasible[package] = self.feasible(self.problem, package)
        return self._feasible[package]


def _only(changed: Problem, partners: Ints, kept: int) -> Problem:
    """Return the problem with one of the added partners only."""
    others = np.isin(np.arange(len(changed.partners)), np.setdiff1d(partners, [kept]))
    units_max = np.where(others, 0, changed.partners.units_max)
    return replace(changed, partners=replace(changed.partners, units_max=units_max))
