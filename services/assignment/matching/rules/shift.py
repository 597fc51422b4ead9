"""Partners work in the slots of their shift."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Partners, Problem
from services.assignment.matching.routes import within
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
        ready_s = np.maximum(problem.packages.ready_at_s[edges.package], problem.now_s)
        return _on_shift(problem.partners, edges.partner, ready_s)

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): +inf for whoever has slots, but none between now and when the last goods are ready."""
        partners, last_s = problem.partners, max(problem.now_s, problem.packages.ready_at_s.max(initial=-np.inf))
        lengths = np.diff(partners.slot_offsets)
        owner = np.repeat(np.arange(len(partners)), lengths)
        open_slots = (partners.slot_start_s <= last_s) & (partners.slot_end_s > problem.now_s)
        works = np.bincount(owner[open_slots], minlength=len(partners)) > 0
        return np.where(works | (lengths == 0), 0.0, np.inf)


def _on_shift(partners: Partners, partner: Ints, at_s: Floats) -> Bools:
    """Return (e,): whether a slot of each partner covers its moment; one without slots always works."""
    lengths = np.diff(partners.slot_offsets)[partner]
    row = np.repeat(np.arange(len(partner)), lengths)
    slot = np.repeat(partners.slot_offsets[partner], lengths) + within(lengths)
    covers = (partners.slot_start_s[slot] <= at_s[row]) & (at_s[row] < partners.slot_end_s[slot])
    on_shift: Bools = (np.bincount(row[covers], minlength=len(partner)) > 0) | (lengths == 0)
    return on_shift
