"""Merchants may refuse partners, or insist on some."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Ints
from services.assignment.matching.groups import among, stands_in
from services.assignment.matching.problem import Bools, Problem
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
        merchant, denied, allowed = problem.packages.merchant, known.denied, known.allowed
        lists = denied.starts, denied.partner, allowed.starts, allowed.partner, known.chooses
        return _welcome(edges.package, edges.partner, merchant, *lists)


@dataclass(frozen=True)
class _List:
    """Merchant k's partners are partner[starts[k]:starts[k + 1]], in order."""

    starts: Ints
    partner: Ints

    @classmethod
    def of(cls, pairs: Ints, merchants: int) -> "_List":
        partner, merchant = pairs[np.lexsort(pairs.T)].T
        return cls(np.searchsorted(merchant, np.arange(merchants + 1)), np.ascontiguousarray(partner))


@dataclass(frozen=True)
class _Lists:
    """Who is denied, and who is allowed; chooses: (n,) packages whose merchant insists."""

    denied: _List
    allowed: _List
    chooses: Bools

    @classmethod
    def of(cls, problem: Problem) -> "_Lists":
        partners, merchant = problem.partners, problem.packages.merchant
        denied, allowed = partners.merchants_denied, partners.merchants_allowed
        merchants = 1 + max(int(column.max(initial=0)) for column in (merchant, denied[:, 1], allowed[:, 1]))
        chooses = among(merchant, np.sort(partners.merchants_choosing))
        return cls(_List.of(denied, merchants), _List.of(allowed, merchants), chooses)


@compiled
def _welcome(
    package: Ints, partner: Ints, merchant: Ints, denied_starts: Ints, denied: Ints, allowed_starts: Ints,
    allowed: Ints, chooses: Bools,
) -> Bools:  # fmt: skip
    """Return (e,): whose merchant does not deny the partner, and names it where it insists."""
    welcome = np.empty(len(package), np.bool_)
    for row in range(len(package)):
        i, j, k = package[row], partner[row], merchant[package[row]]
        is_denied = stands_in(j, denied, denied_starts[k], denied_starts[k + 1])
        is_named = not chooses[i] or stands_in(j, allowed, allowed_starts[k], allowed_starts[k + 1])
        welcome[row] = is_named and not is_denied
    return welcome
