"""Partners work in the slots of their shift."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
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
        on_shift: Bools = np.zeros(len(edges), dtype=bool)
        for start_s, end_s in problem.once(self, "slots", lambda: _slots(problem.partners)):
            on_shift |= (start_s[edges.partner] <= ready_s) & (ready_s < end_s[edges.partner])
        return on_shift

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): +inf for whoever has slots, but none between now and when the last goods are ready."""
        partners, last_s = problem.partners, max(problem.now_s, problem.packages.ready_at_s.max(initial=-np.inf))
        lengths = np.diff(partners.slot_offsets)
        owner = np.repeat(np.arange(len(partners)), lengths)
        open_slots = (partners.slot_start_s <= last_s) & (partners.slot_end_s > problem.now_s)
        works = np.bincount(owner[open_slots], minlength=len(partners)) > 0
        return np.where(works | (lengths == 0), 0.0, np.inf)


def _slots(partners: Partners) -> list[tuple[Floats, Floats]]:
    """Return starts and ends, (m,) each, of everyone's first slot, everyone's second, and so on.

    Who has no slots has one for ever.
    """
    lengths = np.diff(partners.slot_offsets)
    most = max(1, int(lengths.max(initial=0)))
    start_s, end_s = np.full((most, len(partners)), np.inf), np.full((most, len(partners)), -np.inf)
    start_s[:, lengths == 0], end_s[:, lengths == 0] = -np.inf, np.inf
    place, owner = within(lengths), np.repeat(np.arange(len(partners)), lengths)
    start_s[place, owner], end_s[place, owner] = partners.slot_start_s, partners.slot_end_s
    return list(zip(start_s, end_s, strict=True))
