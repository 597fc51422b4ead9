"""A partner carries a limited amount of the company's cash."""

from dataclasses import dataclass
from typing import ClassVar

from services.assignment.matching.geography import Ints
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.base import Fits


@dataclass(frozen=True)
class Cash(Fits):
    """Rules out partners who would hold more cash-on-delivery money than they may."""

    name: ClassVar[str] = "cash"
    reason: ClassVar[str | None] = "CASH_LIMIT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 100

    def sides(self, problem: Problem) -> tuple[Ints, Ints]:
        """Return (n,) and (m,)."""
        return problem.packages.cash_on_delivery_paise, problem.partners.cash_paise_left
