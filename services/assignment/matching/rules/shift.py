"""Partners work in the slots of their shift."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import RulesOut


@dataclass(frozen=True)
class Shift(RulesOut):
    """Rules out partners of whose slots none covers the moment of the pickup: the goods are ready and they are there.

    The moment is when the goods are ready, or now where they have been ready for long.
    """

    name: ClassVar[str] = "shift"
    reason: ClassVar[str | None] = "OFF_SHIFT"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 60

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return (e,)."""
        packages, partners = problem.packages, problem.partners
        slots = partners.slot_offsets, partners.slot_start_s, partners.slot_end_s
        return _on_shift(edges.package, edges.partner, packages.ready_at_s, problem.now_s, *slots)

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): +inf for whoever has slots, but none between now and when the last goods are ready."""
        partners, last_s = problem.partners, max(problem.now_s, problem.packages.ready_at_s.max(initial=-np.inf))
        lengths = np.diff(partners.slot_offsets)
        owner = np.repeat(np.arange(len(partners)), lengths)
        open_slots = (partners.slot_start_s <= last_s) & (partners.slot_end_s > problem.now_s)
        works = np.bincount(owner[open_slots], minlength=len(partners)) > 0
        return np.where(works | (lengths == 0), 0.0, np.inf)


@compiled
def _on_shift(
    package: Ints, partner: Ints, ready_at_s: Floats, now_s: float, offsets: Ints, start_s: Floats, end_s: Floats
) -> Bools:
    """Return (e,): whose partner has no slots, or one that covers the moment of the pickup."""
    on_shift = np.empty(len(package), np.bool_)
    for row in range(len(package)):
        at_s = max(now_s, ready_at_s[package[row]])
        first, last = offsets[partner[row]], offsets[partner[row] + 1]
        on_shift[row] = first == last
        for slot in range(first, last):
            if start_s[slot] <= at_s < end_s[slot]:
                on_shift[row] = True
    return on_shift
