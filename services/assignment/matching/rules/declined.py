"""A partner who has declined a delivery is not asked again."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Ints
from services.assignment.matching.groups import stands_in
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut


@dataclass(frozen=True)
class Declined(RulesOut):
    """Rules out pairs whose offer was declined, or expired, before."""

    name: ClassVar[str] = "declined"
    reason: ClassVar[str | None] = "DECLINED_BEFORE"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 70

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        known = problem.once(self, "declined", lambda: _by_package(problem.packages.declined, len(problem.packages)))
        return _not_in(edges.package, edges.partner, *known)


def _by_package(declined: Ints, packages: int) -> tuple[Ints, Ints]:
    """Return (n + 1,) starts and (k,) partners: package i's are partner[starts[i]:starts[i + 1]], in order."""
    package, partner = declined[np.lexsort(declined.T[::-1])].T
    return np.searchsorted(package, np.arange(packages + 1)), np.ascontiguousarray(partner)


@compiled
def _not_in(package: Ints, partner: Ints, starts: Ints, declined: Ints) -> Bools:
    """Return (e,): who does not stand among those that have declined the package."""
    left = np.empty(len(package), np.bool_)
    for row in range(len(package)):
        i = package[row]
        left[row] = not stands_in(partner[row], declined, starts[i], starts[i + 1])
    return left
