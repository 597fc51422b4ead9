"""What has waited long goes first: no package starves."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem


@dataclass(frozen=True)
class Waiting:
    """Costs a package the seconds that it has waited less than the longest waiting one, with whichever partner.

    Where there are too few partners, the package that costs least to serve is served; this makes it the one that has
    waited longest. Beyond `patience_s` all are equal. It never changes which partner a package would get.
    """

    patience_s: float = 1_800.0

    name: ClassVar[str] = "waiting"
    reason: ClassVar[str | None] = None
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 240
    costs_its_floors: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds."""
        return self.floor(problem)[edges.package]

    def floor(self, problem: Problem) -> Floats:
        """Return (n,): the same for every partner."""
        return problem.once(self, "packages", lambda: self._younger_s(problem))

    def _younger_s(self, problem: Problem) -> Floats:
        waited_s = np.clip(problem.now_s - problem.packages.placed_at_s, 0.0, self.patience_s)
        younger_s: Floats = waited_s.max(initial=0.0) - waited_s
        return younger_s
