"""A parcel must fit into the partner's box."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.geography import Ints
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.base import Fits


@dataclass(frozen=True)
class Side(Fits):
    """Rules out partners whose box is shorter than the parcel's longest side."""

    name: ClassVar[str] = "side"
    reason: ClassVar[str | None] = "TOO_LONG"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 20

    def sides(self, problem: Problem) -> tuple[Ints, Ints]:
        """Return (n,) and (m,)."""
        return problem.packages.side_mm, problem.partners.side_mm_max
