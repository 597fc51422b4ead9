"""A partner who has declined a delivery is not asked again."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.groups import among
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
        m = max(1, len(problem.partners))
        declined = problem.once(self, "declined", lambda: np.sort(problem.packages.declined @ np.array([m, 1])))
        return ~among(edges.package * m + edges.partner, declined)
