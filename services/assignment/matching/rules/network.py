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
    costs_its_floors: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds, or +inf."""
        return self.partner_floor(problem)[edges.partner]

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): the same for every package."""
        return problem.once(self, "partners", lambda: self._of_health(problem.partners.network_health))

    def _of_health(self, health: Floats) -> Floats:
        return np.where(health <= 0.0, np.inf, self.penalty_s * (1.0 - np.minimum(health, 1.0)))
