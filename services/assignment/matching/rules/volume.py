"""A partner's box holds a limited volume."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut, fits


@dataclass(frozen=True)
class Volume(RulesOut):
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "volume"
    reason: ClassVar[str | None] = "TOO_BULKY"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 50
    broadcasts: ClassVar[bool] = True
    required: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        return fits(problem.packages.volume_cm3, problem.room("volume_cm3"), edges)
