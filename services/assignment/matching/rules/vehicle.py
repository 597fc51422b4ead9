"""The parcel wants certain vehicles."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut


@dataclass(frozen=True)
class Vehicle(RulesOut):
    """Rules out partners whose vehicle is not among those that the merchant allows."""

    name: ClassVar[str] = "vehicle"
    reason: ClassVar[str | None] = "WRONG_VEHICLE"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 10

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        allowed = problem.packages.vehicle_mask[edges.package] >> problem.partners.vehicle[edges.partner]
        fits: Bools = allowed & 1 != 0
        return fits
