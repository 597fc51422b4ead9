"""A partner carries a limited number of parcels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.base import Fits


@dataclass(frozen=True)
class Parcels(Fits):
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "parcels"
    reason: ClassVar[str | None] = "NO_PARCELS_LEFT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 30
    required: ClassVar[bool] = True

    def sides(self, problem: Problem) -> tuple[Ints, Ints]:
        """Return (n,) and (m,)."""
        return problem.packages.parcels, problem.room("parcels")

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): +inf for whoever has no room for a single one."""
        return np.where(problem.room("parcels") < 1, np.inf, 0.0)
