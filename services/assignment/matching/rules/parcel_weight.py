"""A partner carries a limited weight."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.geography import Ints
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.base import Fits


@dataclass(frozen=True)
class ParcelWeight(Fits):
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "parcel_weight"
    reason: ClassVar[str | None] = "TOO_HEAVY"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 40
    required: ClassVar[bool] = True

    def sides(self, problem: Problem) -> tuple[Ints, Ints]:
        """Return (n,) and (m,)."""
        return problem.packages.weight_g, problem.room("weight_g")
