"""A partner carries a limited number of parcels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut, fits


@dataclass(frozen=True)
class Parcels(RulesOut):
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "parcels"
    reason: ClassVar[str | None] = "NO_PARCELS_LEFT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 30
    broadcasts: ClassVar[bool] = True
    required: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        return fits(problem.packages.parcels, problem.room("parcels"), edges)

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): +inf for whoever has no room for a single one."""
        return np.where(problem.room("parcels") < 1, np.inf, 0.0)
