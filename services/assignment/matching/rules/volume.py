"""A partner's box holds a limited volume."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Volume:
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "volume"
    reason: ClassVar[str | None] = "TOO_BULKY"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 50
    required: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        partners = problem.partners
        room = partners.routes.roomiest(partners.volume_cm3_left, "volume_cm3")
        return np.where(problem.packages.volume_cm3[edges.package] <= room[edges.partner], 0.0, np.inf)
