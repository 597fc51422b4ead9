"""Candidate pairs of packages and partners, and what rules ask about them, computed once when first asked."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints, Metric, along_ground_m
from services.assignment.matching.insertion import Insertion, insertions
from services.assignment.matching.problem import Bools, Problem


class Edges:
    """e candidate pairs: package (e,) and partner (e,) are indices into the problem's tables."""

    def __init__(self, problem: Problem, package: Ints, partner: Ints) -> None:
        self.problem = problem
        self.package = package
        self.partner = partner

    def __len__(self) -> int:
        return len(self.package)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of what is said of the pairs: (e,), or (n, m) of all pairs of some packages and partners."""
        return self.package.shape if self.package.ndim == 1 else (len(self.package), self.partner.shape[1])

    def taken(self, rows: Bools | Ints) -> "Edges":
        """Return some of the pairs, with what is known of them."""
        some = Edges(self.problem, self.package[rows], self.partner[rows])
        if "distance_m" in self.__dict__:
            some.__dict__["distance_m"] = self.distance_m[rows]
        if "insertion" in self.__dict__:
            some.__dict__["insertion"] = self.insertion.taken(rows)
        return some

    @cached_property
    def distance_m(self) -> Floats:
        """Return (e,): metres from the partner's place to the pickup."""
        problem = self.problem
        is_sphere = problem.travel.metric is Metric.HAVERSINE
        return _apart_m(problem.embedded_places, self.partner, problem.embedded[0], self.package, is_sphere)

    @cached_property
    def insertion(self) -> Insertion:
        """Return how each package fits best into the partner's route, also where that is empty."""
        return insertions(self.problem, self.package, self.partner)


@dataclass(frozen=True)
class KnownCosts:
    """What pairs have been found to cost by all rules of a book: package, partner, cost_ms (e,)."""

    package: Ints
    partner: Ints
    cost_ms: Floats

    def table(self, packages: int, partners: int) -> Floats:
        """Return (packages * partners,): each pair's cost, NaN where it is not known."""
        result = np.full(packages * partners, np.nan)
        result[self.package * partners + self.partner] = self.cost_ms
        return result


@compiled
def _apart_m(places: Floats, partner: Ints, pickups: Floats, package: Ints, is_sphere: bool) -> Floats:
    """Return (e,): metres between embedded places, by their indices."""
    apart_m = np.empty(len(package))
    for row in range(len(package)):
        square = 0.0
        for axis in range(places.shape[1]):
            offset_m = places[partner[row], axis] - pickups[package[row], axis]
            square += offset_m * offset_m
        apart_m[row] = along_ground_m(np.sqrt(square), is_sphere)
    return apart_m
