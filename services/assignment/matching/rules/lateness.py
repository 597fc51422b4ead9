"""Parcels should arrive within their time windows: this one, and those that are on board."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.base import COST_S_MAX


@dataclass(frozen=True)
class Lateness:
    """Costs the seconds after the end of the drop window, and what the parcels on the partner's route become later."""

    name: ClassVar[str] = "lateness"
    reason: ClassVar[str | None] = None
    weight: ClassVar[float] = 2.0
    rank: ClassVar[int] = 210
    slow: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds, at most a day: beyond that, later is no worse."""
        packages, partners = problem.packages, problem.partners
        due_s = packages.due_at_s[edges.package]
        if len(partners.routes.place):
            insertion = edges.insertion
            # Where nothing fits, another rule says so.
            dropped_at_s = np.where(np.isfinite(insertion.dropped_at_s), insertion.dropped_at_s, 0.0)
            late_s = np.maximum(0.0, dropped_at_s - due_s) + insertion.delay_s
        else:
            late_s = np.maximum(0.0, self._dropped_at_s(problem, edges) - due_s)
        return np.minimum(np.where(np.isfinite(late_s), late_s, 0.0), DAY_S)

    def floor(self, problem: Problem) -> Floats:
        """Return (n,): how late each package is with a partner who stands at the pickup and has the fastest vehicle."""
        return problem.once(self, "packages", lambda: self._least_s(problem))

    @staticmethod
    def _least_s(problem: Problem) -> Floats:
        packages, routes, dwell_s = problem.packages, problem.partners.routes, problem.packages.pickup_service_s
        # Who picks something up there anyway has only that visit's dwell.
        shared_s = routes.service_s[routes.pickup == 1].min(initial=np.inf)
        leaves_s = np.maximum(problem.now_s + np.minimum(dwell_s, shared_s), packages.ready_at_s + dwell_s / 2)
        ride_s = problem.ride_m / problem.fastest_m_per_s.max()
        dropped_at_s = leaves_s + ride_s + packages.drop_service_s / 2
        late_s: Floats = np.clip(dropped_at_s - packages.due_at_s - _SLACK_S, 0.0, DAY_S)
        return late_s

    @staticmethod
    def _dropped_at_s(problem: Problem, edges: Edges) -> Floats:
        packages, partners = problem.packages, problem.partners
        vehicle, start_s = partners.vehicle[edges.partner], partners.free_at_s[edges.partner]
        start_s = np.maximum(problem.now_s, start_s)
        half_s = packages.pickup_service_s[edges.package] / 2
        there_s = start_s + problem.travel.time_s(edges.distance_m, vehicle, start_s)
        leaves_s = np.maximum(there_s + half_s, packages.ready_at_s[edges.package]) + half_s
        ride_s = problem.travel.time_s(problem.ride_m[edges.package], vehicle, start_s)
        return leaves_s + ride_s + packages.drop_service_s[edges.package] / 2


DAY_S = min(86_400.0, COST_S_MAX)
# What the arithmetic of the bound may be off.
_SLACK_S = 1e-3
