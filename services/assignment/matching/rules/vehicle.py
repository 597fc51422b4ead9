"""The parcel wants certain vehicles."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import ANY_VEHICLE, Bools, Problem
from services.assignment.matching.rules.base import RulesOut


@dataclass(frozen=True)
class Vehicle(RulesOut):
    """Rules out partners whose vehicle is not among those that the merchant allows."""

    name: ClassVar[str] = "vehicle"
    reason: ClassVar[str | None] = "WRONG_VEHICLE"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 10
    broadcasts: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        # A bit for each vehicle: the mask's others mean none.
        allowed = problem.once(self, "packages", lambda: (problem.packages.vehicle_mask & ANY_VEHICLE).astype(np.uint8))
        vehicle = problem.once(self, "partners", lambda: (1 << problem.partners.vehicle).astype(np.uint8))
        fits: Bools = allowed[edges.package] & vehicle[edges.partner] != 0
        return fits
