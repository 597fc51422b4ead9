"""Merchants may refuse partners, or insist on some."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Ints
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.routes import among
from services.assignment.matching.rules.base import RulesOut


@dataclass(frozen=True)
class Merchants(RulesOut):
    """Rules out partners that the merchant denies, and those it does not name where it insists on some."""

    name: ClassVar[str] = "merchants"
    reason: ClassVar[str | None] = "MERCHANT_REFUSES"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 80

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        known = problem.once(self, "merchants", lambda: _Lists.of(problem))
        pair = edges.partner * known.merchants + problem.packages.merchant[edges.package]
        possible = ~among(pair, known.denied)
        chooses = np.flatnonzero(known.chooses[edges.package])
        possible[chooses] &= among(pair[chooses], known.allowed)
        return possible


@dataclass(frozen=True)
class _Lists:
    """denied, allowed: sorted keys partner * merchants + merchant; chooses: (n,) packages whose merchant insists."""

    merchants: int
    denied: Ints
    allowed: Ints
    chooses: Bools

    @classmethod
    def of(cls, problem: Problem) -> "_Lists":
        partners, merchant = problem.partners, problem.packages.merchant
        denied, allowed = partners.merchants_denied, partners.merchants_allowed
        merchants = 1 + max(int(column.max(initial=0)) for column in (merchant, denied[:, 1], allowed[:, 1]))
        key = np.array([merchants, 1])
        chooses = among(merchant, np.sort(partners.merchants_choosing))
        return cls(merchants, np.sort(denied @ key), np.sort(allowed @ key), chooses)
