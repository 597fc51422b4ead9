"""Instances of the generalized assignment problem by their published recipes, and their optimum by a MILP solver.

Types A to D: Chu and Beasley 1997, doi:10.1016/S0305-0548(96)00032-9; type E: Laguna, Kelly, Gonzalez-Velarde and
Glover 1995, European Journal of Operational Research 82, 176-189. A parcel weighs the same whoever carries it, so what
a job consumes is drawn once and not for each agent; all else is as published.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from services.assignment.matching.geography import Metric
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.parcel_weight import ParcelWeight
from services.assignment.matching.travel import Travel
from tests.unit.services.assignment.matching.tables import CostsByTable

TYPES = "ABCDE"
# Leaving a parcel out costs more than any rearrangement saves: as many as possible are carried, as in a match.
LEFT_OUT = 1e7
# Weights of type E are no integers: in thousandths they are.
GRAINS = 1_000


@dataclass(frozen=True)
class Gap:
    """cost: (agents, jobs) thousandths of a second; weight: (jobs,) and room: (agents,) in grams."""

    cost: np.ndarray
    weight: np.ndarray
    room: np.ndarray

    def problem(self, parcels_left: np.ndarray | None = None) -> tuple[Problem, RuleBook]:
        """The same for a match: partners take so many parcels, (agents,), or as many as their weight allows."""
        m, n = self.cost.shape
        nowhere = np.zeros((n, 2)), np.zeros((m, 2))
        packages = Packages.of([str(j) for j in range(n)], nowhere[0], nowhere[0], weight_g=self.weight)
        parcels_left = np.full(m, n) if parcels_left is None else parcels_left
        limits = {"weight_g_left": self.room, "parcels_left": parcels_left}
        partners = Partners.of([str(i) for i in range(m)], nowhere[1], **limits)
        columns = (np.zeros(n, dtype=np.int64), np.arange(n)), (np.zeros(m, dtype=np.int64), np.arange(m))
        costs = CostsByTable(self.cost.T[None] / 1000, *columns)
        rules = (Weighed(costs, 1.0), Weighed(ParcelWeight(), 1.0))
        return Problem(packages, partners, Policy(), Travel(Metric.EUCLIDEAN), 0.0), RuleBook(rules)


def instance(kind: str, agents: int, jobs: int, seed: int, *, weight: int = 0, spare: float = 1.0) -> Gap:
    """An instance of a type; where a `weight` is given, all jobs weigh that and the recipe does the rest.

    Types B to E have less room than jobs weigh: in the published ones agents can choose those that take them little.
    `spare` multiplies the room.
    """
    random = np.random.default_rng(seed)
    shape = (agents, jobs)
    if kind == "E":
        consumed = 1 - 10 * np.log(1 - random.random(jobs))
    else:
        low, high = (1, 100) if kind == "D" else (5, 25)
        consumed = random.integers(low, high + 1, jobs).astype(float)
    consumed = np.rint(GRAINS * consumed)
    weights = np.full(jobs, weight) if weight else consumed
    cost = {
        "D": lambda: 111 - consumed / GRAINS + random.integers(-10, 11, shape),
        "E": lambda: 1000 * GRAINS / consumed - 10 * random.random(shape),
    }.get(kind, lambda: random.integers(10, 51, shape).astype(float))()
    # The optimum stays where it is when every pair of a job costs as much more.
    cost = np.rint(1000 * (cost - np.minimum(0, cost.min(axis=0))))
    room = np.full(agents, 0.8 * weights.sum() / agents)
    if kind in "AB":
        mean = weight or 15 * GRAINS
        cheapest = np.bincount(cost.argmin(axis=0), weights, minlength=agents).max()
        room = np.full(agents, 0.6 * mean * jobs / agents + 0.4 * cheapest)
        room *= 0.7 if kind == "B" else 1.0
    return Gap(cost, weights.astype(np.int64), np.floor(spare * room).astype(np.int64))


@dataclass(frozen=True)
class Optimum:
    """How many jobs the best that HiGHS found leaves out, what the others cost, and whether nothing is better."""

    left_out: int
    cost: int
    proven: bool


def optimum(gap: Gap, seconds_max: float = 60.0) -> Optimum:
    """Solve the textbook formulation: one variable for each agent and job, and one for leaving each job out."""
    agents, jobs = gap.cost.shape
    pairs, every = agents * jobs, agents * jobs + jobs
    agent, job = (places.ravel() for places in np.indices((agents, jobs)))
    cost = np.concatenate([gap.cost.ravel(), np.full(jobs, LEFT_OUT)])
    jobs_of = np.concatenate([job, np.arange(jobs)])
    once = coo_array((np.ones(every), (jobs_of, np.arange(every))), shape=(jobs, every))
    load = coo_array((gap.weight[job].astype(float), (agent, np.arange(pairs))), shape=(agents, every))
    found = milp(
        cost,
        integrality=np.ones(every),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(once.tocsr(), 1, 1), LinearConstraint(load.tocsr(), -np.inf, gap.room)],
        options={"time_limit": seconds_max, "mip_rel_gap": 0.0},
    )
    chosen = np.rint(found.x).astype(bool)
    return Optimum(int(chosen[pairs:].sum()), int(cost[:pairs] @ chosen[:pairs]), found.status == 0)
