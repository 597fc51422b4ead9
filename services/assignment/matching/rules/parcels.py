"""A partner carries a limited number of parcels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Parcels:
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "parcels"
    reason: ClassVar[str | None] = "NO_PARCELS_LEFT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 30
    required: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        partners = problem.partners
        room = partners.routes.roomiest(partners.parcels_left, "parcels")
        return np.where(problem.packages.parcels[edges.package] <= room[edges.partner], 0.0, np.inf)
