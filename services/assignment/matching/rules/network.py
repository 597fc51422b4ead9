"""A partner network that does not answer gets no packages, and one that limps gets fewer."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Network:
    """Rules out partners of a network that is down; costs up to `penalty_s` the sicker it is."""

    penalty_s: float = 600.0

    name: ClassVar[str] = "network"
    reason: ClassVar[str | None] = "NETWORK_DOWN"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 90

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds, or +inf."""
        health = np.minimum(problem.partners.network_health[edges.partner], 1.0)
        return np.where(health <= 0.0, np.inf, self.penalty_s * (1.0 - health))
