"""Random routes, and a slow reference that drives one insertion at a time, stop by stop."""

import math
from dataclasses import dataclass, replace

import numpy as np

from services.assignment.matching.geography import Metric
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.routes import Routes
from services.assignment.matching.travel import Travel
from tests.unit.services.assignment.matching.problems import NOW_S, haversine_m


@dataclass(frozen=True)
class Drive:
    """One insertion, driven: the extra time on the road, and when what happens."""

    extra_s: float
    pickup_at_s: float
    dropped_at_s: float
    delay_s: float
    score_s: float


def routed_problem(seed: int, n: int, m: int, metric: Metric, round_up_s: float, stops_max: int = 6) -> Problem:
    """n packages, some of them bundles, and m partners with routes between a handful of places."""
    random = np.random.default_rng(seed)
    scale = 4_000.0 if metric is Metric.EUCLIDEAN else 0.04
    center = np.zeros(2) if metric is Metric.EUCLIDEAN else np.array([12.97, 77.59])
    # Few places, so that visits share them.
    somewhere = center + np.round(random.normal(0, scale, (7, 2)), 4)

    def places(count: int) -> np.ndarray:
        return somewhere[random.integers(0, len(somewhere), count)]

    bundled = random.random(n) < 0.3
    drop = places(n)
    packages = Packages.of(
        [f"package-{i}" for i in range(n)],
        places(n),
        drop,
        exit=np.where(bundled[:, None], places(n), drop),
        chain_m=np.where(bundled, random.integers(0, 3_000, n), 0).astype(float),
        chain_service_s=np.where(bundled, 60.0, 0.0),
        parcels=np.where(bundled, 2, 1),
        pickup_service_s=random.integers(0, 3, n) * 60.0,
        drop_service_s=random.integers(0, 3, n) * 30.0,
        weight_g=random.integers(1, 5, n),
        volume_cm3=random.integers(1, 5, n),
        ready_at_s=NOW_S + random.integers(-600, 1_800, n),
        due_at_s=np.where(random.random(n) < 0.8, NOW_S + random.integers(300, 5_400, n), np.inf),
    )
    lengths = random.integers(0, stops_max + 1, m)
    s = int(lengths.sum())
    routes = Routes(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        place=places(s),
        pickup=random.integers(0, 2, s),
        service_s=random.integers(0, 4, s) * 60.0,
        ready_at_s=np.where(random.random(s) < 0.5, NOW_S + random.integers(-600, 2_400, s), -np.inf),
        due_at_s=np.where(random.random(s) < 0.7, NOW_S + random.integers(0, 5_400, s), np.inf),
        parcels=random.integers(-1, 2, s),
        weight_g=random.integers(-3, 4, s),
        volume_cm3=random.integers(-3, 4, s),
    )
    partners = Partners.of(
        [f"partner-{j}" for j in range(m)],
        places(m),
        free_at_s=NOW_S + random.integers(-300, 900, m),
        vehicle=random.integers(0, 6, m),
        parcels_left=random.integers(0, 4, m),
        weight_g_left=random.integers(0, 9, m),
        volume_cm3_left=random.integers(0, 9, m),
        routes=routes,
    )
    travel = Travel(metric=metric, round_up_s=round_up_s)
    return Problem(packages, partners, Policy(pickup_distance_m_max=1e6), travel, NOW_S)


def without_deltas(problem: Problem) -> Problem:
    """The same routes as production has them: what is left counts what is held already."""
    routes = problem.partners.routes
    nothing = np.zeros(len(routes.place), dtype=np.int64)
    routes = replace(routes, parcels=nothing, weight_g=nothing, volume_cm3=nothing)
    return replace(problem, partners=replace(problem.partners, routes=routes))


def leg_s(problem: Problem, j: int, one: np.ndarray, other: np.ndarray) -> float:
    """What partner j takes from one place to another."""
    euclidean = problem.travel.metric is Metric.EUCLIDEAN
    return ride_s(problem, j, math.dist(one, other) if euclidean else haversine_m(one, other))


def ride_s(problem: Problem, j: int, metres: float) -> float:
    exact = metres / float(problem.travel.speed_m_per_s[problem.partners.vehicle[j], 0])
    step = problem.travel.round_up_s
    return math.ceil(exact / step - 1e-9) * step if step else exact


@dataclass(frozen=True)
class Stop:
    entry: np.ndarray
    exit: np.ndarray
    picks: bool
    service_s: float
    ready_at_s: float
    due_at_s: float
    chain_s: float = 0.0


def stops_of(problem: Problem, j: int) -> list[Stop]:
    routes = problem.partners.routes
    return [
        Stop(
            routes.place[r],
            routes.place[r],
            bool(routes.pickup[r]),
            routes.service_s[r],
            routes.ready_at_s[r],
            routes.due_at_s[r],
        )
        for r in range(routes.offsets[j], routes.offsets[j + 1])
    ]


def own_stops(problem: Problem, i: int, j: int) -> tuple[Stop, Stop]:
    p = problem.packages
    chain_s = ride_s(problem, j, p.chain_m[i]) + p.chain_service_s[i]
    pickup = Stop(p.pickup[i], p.pickup[i], True, p.pickup_service_s[i], p.ready_at_s[i], np.inf)
    return pickup, Stop(p.drop[i], p.exit[i], False, p.drop_service_s[i], -np.inf, p.due_at_s[i], chain_s)


def driven(problem: Problem, j: int, stops: list[Stop]) -> tuple[list[tuple[float, float]], float]:
    """Arrival and hand-over at each stop, and the time on the road."""
    clock = max(problem.now_s, float(problem.partners.free_at_s[j]))
    at, picked, road_s = problem.partners.place[j], False, 0.0
    times = []
    for stop in stops:
        way = leg_s(problem, j, at, stop.entry)
        half = stop.service_s / 2
        if picked and stop.picks and way == 0:
            handed = max(clock - half, stop.ready_at_s)
        else:
            handed = max(clock + way + half, stop.ready_at_s)
        times.append((clock + way, handed))
        clock, at, picked = handed + half + stop.chain_s, stop.exit, stop.picks
        road_s += way + stop.chain_s
    return times, road_s


def drive(problem: Problem, i: int, j: int, before: int, after: int) -> Drive | None:
    """What one insertion makes of a route; None where the vehicle has no room for it."""
    routes, packages, partners = problem.partners.routes, problem.packages, problem.partners
    first = int(routes.offsets[j])
    for column, left in (("parcels", "parcels_left"), ("weight_g", "weight_g_left"), ("volume_cm3", "volume_cm3_left")):
        loads = getattr(routes, column)[first:]
        for stops_done in range(before, after + 1):
            if loads[:stops_done].sum() + getattr(packages, column)[i] > getattr(partners, left)[j]:
                return None
    old = stops_of(problem, j)
    pickup, drop = own_stops(problem, i, j)
    old_times, old_road_s = driven(problem, j, old)
    stops = [*old[:before], pickup, *old[before:after], drop, *old[after:]]
    times, road_s = driven(problem, j, stops)

    def late(handed: list[float]) -> float:
        return sum(max(0.0, at - stop.due_at_s) for at, stop in zip(handed, old, strict=True))

    others = [at for place, (_, at) in enumerate(times) if place not in {before, after + 1}]
    delay_s = max(0.0, late(others) - late([at for _, at in old_times]))
    dropped_at_s = times[after + 1][1]
    extra_s = road_s - old_road_s
    score_s = extra_s + delay_s + max(0.0, dropped_at_s - float(packages.due_at_s[i]))
    return Drive(extra_s, times[before][0], dropped_at_s, delay_s, score_s)


def drives(problem: Problem, i: int, j: int) -> dict[tuple[int, int], Drive]:
    """Every insertion that fits, in the order of its places."""
    length = int(problem.partners.routes.lengths[j])
    tried = {(b, a): drive(problem, i, j, b, a) for b in range(length + 1) for a in range(b, length + 1)}
    return {at: found for at, found in tried.items() if found is not None}
