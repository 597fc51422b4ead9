"""The parcel wants certain vehicles."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Vehicle:
    """Rules out partners whose vehicle is not among those that the merchant allows."""

    name: ClassVar[str] = "vehicle"
    reason: ClassVar[str | None] = "WRONG_VEHICLE"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 10

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        fits = problem.packages.vehicle_mask[edges.package] >> problem.partners.vehicle[edges.partner] & 1
        return np.where(fits, 0.0, np.inf)
