"""Valuable parcels go to partners who have earned trust."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import RATING_MAX, Problem


@dataclass(frozen=True)
class Rating:
    """Rules out partners rated below `rating_min` for valuable parcels, and costs a penalty for every missing star.

    A parcel is valuable from `valuable_paise` on; the penalty grows with the value up to there.
    """

    valuable_paise: float = 2_000_000.0
    rating_min: float = 3.5
    star_penalty_s: float = 60.0

    name: ClassVar[str] = "rating"
    reason: ClassVar[str | None] = "RATED_TOO_LOW"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 110

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds, or +inf."""
        share = problem.packages.declared_value_paise[edges.package] / max(1.0, self.valuable_paise)
        rating = problem.partners.rating[edges.partner]
        missing = np.maximum(0.0, RATING_MAX - rating)
        cost_s = self.star_penalty_s * missing * np.minimum(share, 1.0)
        return np.where((share >= 1.0) & (rating < self.rating_min), np.inf, cost_s)
