"""A parcel must fit into the partner's box."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Side:
    """Rules out partners whose box is shorter than the parcel's longest side."""

    name: ClassVar[str] = "side"
    reason: ClassVar[str | None] = "TOO_LONG"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 20

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        fits = problem.packages.side_mm[edges.package] <= problem.partners.side_mm_max[edges.partner]
        return np.where(fits, 0.0, np.inf)
