"""The sooner a partner can be at the pickup, the better."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Floats
from services.assignment.matching.problem import Bools, Problem

# What the arithmetic of a bound may be off.
SLACK_S = 1e-3
# What a package takes of a partner, and where the partner's room stands.
_ROOM = (("parcels", "parcels_left"), ("weight_g", "weight_g_left"), ("volume_cm3", "volume_cm3_left"))


@dataclass(frozen=True)
class PickupTravel:
    """Costs the time until the partner arrives at the pickup, by its vehicle, the hour of day and its route.

    Never less than the way from the partner's place at its vehicle's best speed: candidates.py relies on that.
    """

    name: ClassVar[str] = "pickup_travel"
    reason: ClassVar[str | None] = "ROUTE_FULL"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 120
    required: ClassVar[bool] = True

    def __call__(self, problem: Problem, edges: Edges) -> Floats:
        """Return seconds until the arrival; +inf where no place in the route has room."""
        partners = problem.partners
        if not len(partners.routes.place):
            start_s = np.maximum(problem.now_s, partners.free_at_s[edges.partner])
            travel_s = problem.travel.time_s(edges.distance_m, partners.vehicle[edges.partner], start_s)
            return start_s - problem.now_s + travel_s
        return edges.insertion.pickup_at_s - problem.now_s

    def partner_floor(self, problem: Problem) -> Floats:
        """Return (m,): the seconds until each partner can leave its place."""
        wait_s: Floats = np.maximum(0.0, problem.partners.free_at_s - problem.now_s - SLACK_S)
        return wait_s

    def bound(self, problem: Problem, edges: Edges) -> Floats:
        """Return the seconds of the straight way at the vehicle's best speed."""
        wait_s = np.maximum(0.0, problem.partners.free_at_s[edges.partner] - problem.now_s)
        travel_s = edges.distance_m / problem.fastest_m_per_s[problem.partners.vehicle[edges.partner]]
        return np.maximum(0.0, wait_s + travel_s - SLACK_S)

    def possible(self, problem: Problem, edges: Edges) -> Bools:
        """Return whether some place in the route has room."""
        packages, partners = problem.packages, problem.partners
        routes = partners.routes
        if not len(routes.place):
            return np.ones(len(edges), dtype=bool)
        if any(getattr(routes, column).any() for column, _ in _ROOM):
            return np.isfinite(edges.insertion.pickup_at_s)
        # Stops that load nothing leave the same room everywhere: no place has to be looked for.
        room: Bools = np.logical_and.reduce(
            [getattr(packages, taken)[edges.package] <= getattr(partners, left)[edges.partner] for taken, left in _ROOM]
        )
        return room
