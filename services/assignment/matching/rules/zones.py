"""Partners know some parts of the city best."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, shortened
from services.assignment.matching.problem import Problem
from services.assignment.matching.routes import within


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
        lengths = np.diff(partners.zone_offsets)[edges.partner]
        row = np.repeat(np.arange(len(edges)), lengths)
        zone = np.repeat(partners.zone_offsets[edges.partner], lengths) + within(lengths)
        pickup = shortened(problem.pickup_cell[edges.package[row]], partners.zone_precision[zone])
        inside = np.bincount(row[pickup == partners.zone_cell[zone]], minlength=len(edges)) > 0
        return np.where((lengths > 0) & ~inside, self.penalty_s, 0.0)
