"""Merchants may refuse partners, or insist on some."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem
from services.assignment.matching.routes import among


@dataclass(frozen=True)
class Merchants:
    """Rules out partners that the merchant denies, and those it does not name where it insists on some."""

    name: ClassVar[str] = "merchants"
    reason: ClassVar[str | None] = "MERCHANT_REFUSES"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 80

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or +inf."""
        partners, merchant = problem.partners, problem.packages.merchant[edges.package]
        denied, allowed, choosing = partners.merchants_denied, partners.merchants_allowed, partners.merchants_choosing
        if not len(denied) and not len(choosing):
            return np.zeros(len(edges))
        base = 1 + int(max(merchant.max(initial=0), denied[:, 1].max(initial=0), allowed[:, 1].max(initial=0)))
        pair, key = edges.partner * base + merchant, np.array([base, 1])
        refused = among(pair, denied @ key)
        refused |= among(merchant, choosing) & ~among(pair, allowed @ key)
        return np.where(refused, np.inf, 0.0)
