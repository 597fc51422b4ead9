"""A partner's box holds a limited volume."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.geography import Ints
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.base import Fits


@dataclass(frozen=True)
class Volume(Fits):
    """Rules out partners who have too little room at every point of their route."""

    name: ClassVar[str] = "volume"
    reason: ClassVar[str | None] = "TOO_BULKY"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 50
    required: ClassVar[bool] = True

    def sides(self, problem: Problem) -> tuple[Ints, Ints]:
        """Return (n,) and (m,)."""
        return problem.packages.volume_cm3, problem.room("volume_cm3")
