"""Partners know some parts of the city best."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints, bits_cut
from services.assignment.matching.problem import Bools, Problem


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
        zones = partners.zone_offsets, partners.zone_cell, bits_cut(partners.zone_precision)
        return np.where(_outside(edges.package, edges.partner, problem.pickup_cell, *zones), self.penalty_s, 0.0)


@compiled
def _outside(package: Ints, partner: Ints, pickup_cell: Ints, offsets: Ints, zone_cell: Ints, cut: Ints) -> Bools:
    """Return (e,): whose partner prefers zones, and the pickup is in none; cut: bits of a cell that each zone lacks."""
    outside = np.empty(len(package), np.bool_)
    for row in range(len(package)):
        cell = pickup_cell[package[row]]
        first, last = offsets[partner[row]], offsets[partner[row] + 1]
        outside[row] = first < last
        for zone in range(first, last):
            if cell >> cut[zone] == zone_cell[zone]:
                outside[row] = False
    return outside
