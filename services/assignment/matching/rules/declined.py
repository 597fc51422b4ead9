"""A partner who has declined a delivery is not asked again."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem
from services.assignment.matching.routes import among


@dataclass(frozen=True)
class Declined:
    """Rules out pairs whose offer was declined, or expired, before."""

    name: ClassVar[str] = "declined"
    reason: ClassVar[str | None] = "DECLINED_BEFORE"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 70

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        m = max(1, len(problem.partners))
        declined = problem.packages.declined @ np.array([m, 1])
        return np.where(among(edges.package * m + edges.partner, declined), np.inf, 0.0)
