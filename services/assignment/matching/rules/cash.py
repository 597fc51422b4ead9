"""A partner carries a limited amount of the company's cash."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.edges import Edges
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut, fits


@dataclass(frozen=True)
class Cash(RulesOut):
    """Rules out partners who would hold more cash-on-delivery money than they may."""

    name: ClassVar[str] = "cash"
    reason: ClassVar[str | None] = "CASH_LIMIT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 100
    broadcasts: ClassVar[bool] = True

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        return fits(problem.packages.cash_on_delivery_paise, problem.partners.cash_paise_left, edges)
