"""Which partners may matter to a package: the nearest ones, from a spatial index of each vehicle's partners.

A pair never costs less than the way from the partner to the pickup at its vehicle's best speed. So `reach_ms` bounds
from below what any partner beyond a package's neighbourhood would cost.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.spatial import cKDTree

from services.assignment.matching.geography import Floats, Ints, embedded_m, straight_m
from services.assignment.matching.problem import Problem
from services.assignment.matching.rulebook import MS

# What rounding may take off: half a millisecond of the cost, and the index's own arithmetic.
_SLACK_MS = 1.0
_BALLS_AT_ONCE_MAX = 2_000


@dataclass(frozen=True)
class Neighbours:
    """Pairs (package, partner) of shape (e,), by package; reach_ms: (queried packages,) +inf where all are there."""

    package: Ints
    partner: Ints
    reach_ms: Floats


class SpatialIndex:
    """The partners of a problem by vehicle and place: those who may get a package, or everyone."""

    def __init__(self, problem: Problem, travel_weight: float, *, everyone: bool = False) -> None:
        self._pickup = embedded_m(problem.travel.metric, problem.packages.pickup)
        self._metric = problem.travel.metric
        self._travel_weight = travel_weight
        self._limit_m = float(
            straight_m(self._metric, np.array(problem.policy.pickup_distance_m_max * (1 + 1e-9) + 1e-3))
        )
        partners = problem.partners
        able = np.flatnonzero((partners.units_max > 0) | everyone)
        place = embedded_m(self._metric, partners.place[able])
        speeds = problem.fastest_m_per_s
        self._classes = []
        for vehicle in np.unique(partners.vehicle[able]):
            mine = np.flatnonzero(partners.vehicle[able] == vehicle)
            # Not balanced: building takes a third of the time, and clustered places are found as fast.
            tree = cKDTree(place[mine], balanced_tree=False, compact_nodes=False)
            self._classes.append((tree, able[mine], float(speeds[vehicle])))
        # Whoever reaches as far as the slowest vehicle's limit takes, has seen everybody.
        self._slowest_limit_s = self._limit_m / min((speed for _, _, speed in self._classes), default=np.inf)

    def nearest(self, packages: Ints, count: int) -> Neighbours:
        """Return for each of `packages` the partners who could be there first, at least `count` where there are."""
        parts = [self._of_class(place, packages, count) for place in range(len(self._classes))]
        if not parts:
            nobody = np.zeros(0, dtype=np.int64)
            return Neighbours(nobody, nobody, np.full(len(packages), np.inf))
        bound = np.concatenate([part[0] for part in parts], axis=1)
        partner = np.concatenate([part[1] for part in parts], axis=1)
        # Each class is known up to its own reach, all of them up to the shortest.
        reach = np.min([part[2] for part in parts], axis=0)
        if len(parts) > 1 and bound.shape[1] > count:
            reach = np.minimum(reach, np.partition(bound, count - 1, axis=1)[:, count - 1])
        kept = (bound <= reach[:, None]) & np.isfinite(bound)
        row, column = np.nonzero(kept)
        known = np.where(np.isfinite(reach), reach, 0.0) * MS * self._travel_weight - _SLACK_MS
        reach_ms = np.where(np.isfinite(reach), np.maximum(0.0, known), np.inf)
        return Neighbours(packages[row], partner[row, column], reach_ms)

    def within(self, packages: Ints, reach_ms: Floats) -> Neighbours:
        """Return for each of `packages` the partners whose way costs at most `reach_ms`, (packages,)."""
        # Somewhat farther than asked: what is just at the border is then surely inside.
        reach_s = (
            (reach_ms + 2 * _SLACK_MS) / MS / self._travel_weight
            if self._travel_weight
            else np.full(len(packages), np.inf)
        )
        found_package: list[Ints] = [np.zeros(0, dtype=np.int64)]
        found_partner: list[Ints] = [np.zeros(0, dtype=np.int64)]
        for tree, partner, speed in self._classes:
            radius_m = np.minimum(reach_s * speed, self._limit_m)
            for start in range(0, len(packages), _BALLS_AT_ONCE_MAX):
                some = packages[start : start + _BALLS_AT_ONCE_MAX]
                lists = tree.query_ball_point(self._pickup[some], radius_m[start : start + len(some)])
                lengths = np.array([len(found) for found in lists], dtype=np.int64)
                found_package.append(np.repeat(some, lengths))
                found_partner.append(
                    partner[np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=int(lengths.sum()))]
                )
        everything = self._slowest_limit_s <= reach_s
        return Neighbours(
            np.concatenate(found_package), np.concatenate(found_partner), np.where(everything, np.inf, reach_ms)
        )

    def _of_class(self, place: int, packages: Ints, count: int) -> tuple[Floats, Ints, Floats]:
        """Return (bound_s (p, k), partner (p, k), reach_s (p,)) of the partners with one vehicle."""
        tree, partner, speed = self._classes[place]
        k = min(count, tree.n)
        found = tree.query(self._pickup[packages], k=np.arange(1, k + 1), distance_upper_bound=self._limit_m)
        straight, index = np.asarray(found[0]), np.asarray(found[1])
        # The straight line is never longer than the way.
        bound = straight / speed
        index = np.minimum(index, tree.n - 1)
        reach = np.full(len(packages), np.inf) if k == tree.n else bound[:, -1]
        return bound, partner[index], reach
