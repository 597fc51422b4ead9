"""A partner carries a limited weight."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut, fits


@dataclass(frozen=True)
class ParcelWeight(RulesOut):
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "parcel_weight"
    reason: ClassVar[str | None] = "TOO_HEAVY"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 40
    broadcasts: ClassVar[bool] = True
    required: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        return fits(problem.packages.weight_g, problem.room("weight_g"), edges)
