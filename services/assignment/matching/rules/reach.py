"""No partner is sent farther to a pickup than the city allows."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut


@dataclass(frozen=True)
class Reach(RulesOut):
    """Rules out partners farther from the pickup than the policy's pickup_distance_m_max."""

    name: ClassVar[str] = "reach"
    reason: ClassVar[str | None] = "TOO_FAR"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 115
    required: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        near: Bools = edges.distance_m <= problem.policy.pickup_distance_m_max
        return near
