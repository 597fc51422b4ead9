"""A partner carries a limited amount of the company's cash."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Cash:
    """Rules out partners who would hold more cash-on-delivery money than they may."""

    name: ClassVar[str] = "cash"
    reason: ClassVar[str | None] = "CASH_LIMIT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 100

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        fits = problem.packages.cash_on_delivery_paise[edges.package] <= problem.partners.cash_paise_left[edges.partner]
        return np.where(fits, 0.0, np.inf)
