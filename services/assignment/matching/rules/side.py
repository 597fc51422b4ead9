"""A parcel must fit into the partner's box."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut, fits


@dataclass(frozen=True)
class Side(RulesOut):
    """Rules out partners whose box is shorter than the parcel's longest side."""

    name: ClassVar[str] = "side"
    reason: ClassVar[str | None] = "TOO_LONG"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 20
    broadcasts: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        return fits(problem.packages.side_mm, problem.partners.side_mm_max, edges)
