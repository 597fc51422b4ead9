"""Partners know some parts of the city best."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints, bits_cut
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class OutsideZones:
    """Costs a penalty where the pickup lies outside the zones that the partner prefers, if it prefers any."""

    penalty_s: float = 300.0

    name: ClassVar[str] = "outside_zones"
    reason: ClassVar[str | None] = None
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 220

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return 0 or penalty_s."""
        partners = problem.partners
        if not len(partners.zone_cell):
            return np.zeros(len(edges))
        cut = problem.once(self, "cut", lambda: bits_cut(partners.zone_precision))
        zones = partners.zone_offsets, partners.zone_cell, cut, self.penalty_s
        return _outside_s(edges.package, edges.partner, problem.pickup_cell, *zones)


@compiled
def _outside_s(
    package: Ints, partner: Ints, pickup_cell: Ints, offsets: Ints, zone_cell: Ints, cut: Ints, penalty_s: float
) -> Floats:
    """Return (e,): the penalty where the partner prefers zones, and the pickup is in none.

    cut: bits of a cell that each zone lacks.
    """
    cost_s = np.empty(len(package))
    for row in range(len(package)):
        cell = pickup_cell[package[row]]
        first, last = offsets[partner[row]], offsets[partner[row] + 1]
        cost_s[row] = penalty_s if first < last else 0.0
        for zone in range(first, last):
            if cell >> cut[zone] == zone_cell[zone]:
                cost_s[row] = 0.0
    return cost_s
