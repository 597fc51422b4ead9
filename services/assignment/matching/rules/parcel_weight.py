"""A partner carries a limited weight."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class ParcelWeight:
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "parcel_weight"
    reason: ClassVar[str | None] = "TOO_HEAVY"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 40
    required: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        partners = problem.partners
        room = partners.routes.roomiest(partners.weight_g_left, "weight_g")
        return np.where(problem.packages.weight_g[edges.package] <= room[edges.partner], 0.0, np.inf)
