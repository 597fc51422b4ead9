"""Partners know some parts of the city best."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints, bits_cut
from services.assignment.matching.problem import Bools, Partners, Problem
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
        known = problem.once(self, "zones", lambda: _zones(partners))
        pickup, outside = problem.pickup_cell[edges.package], known.prefers[edges.partner]
        for cell, cut in known.zones:
            outside &= pickup >> cut[edges.partner] != cell[edges.partner]
        return np.where(outside, self.penalty_s, 0.0)


@dataclass(frozen=True)
class _Zones:
    """prefers: (m,) who prefers any zone; zones: everyone's first one, everyone's second, and so on.

    Of each: (m,) its cell, and (m,) how many bits of a pickup's cell it lacks. Where there is none, no pickup is in it.
    """

    prefers: Bools
    zones: list[tuple[Ints, Ints]]


def _zones(partners: Partners) -> _Zones:
    lengths = np.diff(partners.zone_offsets)
    shape = (int(lengths.max(initial=0)), len(partners))
    cell, cut = np.full(shape, -1), np.zeros(shape, dtype=np.int64)
    place, owner = within(lengths), np.repeat(np.arange(len(partners)), lengths)
    cell[place, owner], cut[place, owner] = partners.zone_cell, bits_cut(partners.zone_precision)
    return _Zones(lengths > 0, list(zip(cell, cut, strict=True)))
