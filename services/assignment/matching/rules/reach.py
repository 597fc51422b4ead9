"""No partner is sent farther to a pickup than the city allows."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Reach:
    """Rules out partners farther from the pickup than the policy's pickup_distance_m_max."""

    name: ClassVar[str] = "reach"
    reason: ClassVar[str | None] = "TOO_FAR"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 115
    required: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        return np.where(edges.distance_m > problem.policy.pickup_distance_m_max, np.inf, 0.0)
