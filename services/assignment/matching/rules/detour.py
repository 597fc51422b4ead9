"""A partner who is on the way should not be led far from it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Detour:
    """Costs the time that a partner's route gains, beyond the ride from the pickup to the last drop."""

    name: ClassVar[str] = "detour"
    reason: ClassVar[str | None] = None
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 200
    slow: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds; 0 for a partner without a route."""
        if not len(problem.partners.routes.place):
            return np.zeros(len(edges))
        detour_s = edges.insertion.detour_s
        # Where nothing fits, another rule says so.
        return np.where(np.isfinite(detour_s), detour_s, 0.0)
