"""Earnings of a shift should not spread far between partners."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Fairness:
    """Costs more the further a partner's earnings an hour are above the mean of the partners in the match.

    `penalty_s` at twice the mean, and never more.
    """

    penalty_s: float = 60.0

    name: ClassVar[str] = "fairness"
    reason: ClassVar[str | None] = None
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 230
    costs_its_floors: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds."""
        return self.partner_floor(problem)[edges.partner]

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): the same for every package."""
        return problem.once(self, "partners", lambda: self._of_earnings(problem.partners.earned_paise_per_h))

    def _of_earnings(self, earned: Ints) -> Floats:
        mean = float(earned.mean()) if len(earned) else 0.0
        if mean <= 0:
            return np.zeros(len(earned))
        return self.penalty_s * np.clip(earned / mean - 1.0, 0.0, 1.0)
