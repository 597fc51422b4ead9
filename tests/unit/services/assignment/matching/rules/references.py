"""Every rule once more, slowly and one pair at a time, and random problems of which each has something to say."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from services.assignment.matching.problem import Problem
from services.assignment.matching.routes import Routes
from services.assignment.matching.travel import SPEED_M_PER_S, Travel, steady
from tests.unit.services.assignment.matching.problems import NOW_S, haversine_m, random_problem

IMPOSSIBLE = math.inf
UTC_OFFSET_S = 19_800.0
# Routes that are so short that the best insertion is found for certain.
STOPS_MAX = 2


def rich_problem(seed: int, n: int, m: int, *, routes: bool = True) -> Problem:
    """n packages and m partners of whom every rule thinks something."""
    random = np.random.default_rng(seed)
    problem = random_problem(seed, n, m)
    packages = replace(
        problem.packages,
        pickup_service_s=random.integers(0, 120, n).astype(float),
        drop_service_s=random.integers(0, 120, n).astype(float),
        placed_at_s=NOW_S - random.integers(0, 4_000, n).astype(float),
        declared_value_paise=random.integers(0, 4_000_000, n),
        cash_on_delivery_paise=random.integers(0, 300_000, n),
        merchant=random.integers(0, 3, n),
    )
    some = [(int(j), int(k)) for j in range(m) for k in range(3) if random.random() < 0.3]
    others = [(int(j), 2) for j in range(m) if random.random() < 0.5]
    partners = replace(
        problem.partners,
        free_at_s=NOW_S + random.integers(-600, 600, m),
        rating=np.round(random.uniform(2.5, 5.0, m), 1),
        cash_paise_left=random.integers(0, 400_000, m),
        earned_paise_per_h=random.integers(0, 30_000, m),
        network_health=random.choice([0.0, 0.5, 1.0], m),
        merchants_denied=np.array(some, dtype=np.int64).reshape(-1, 2),
        merchants_allowed=np.array(others, dtype=np.int64).reshape(-1, 2),
        # Merchant 2 insists, be its partners here or not.
        merchants_choosing=np.array([2]),
        routes=Routes.of([_route(random) for _ in range(m)]) if routes else Routes.none(m),
    )
    by_hour = np.linspace(0.5, 1.5, 24)
    travel = Travel(speed_m_per_s=steady(SPEED_M_PER_S) * by_hour, utc_offset_s=UTC_OFFSET_S)
    return replace(problem, packages=packages, partners=partners, travel=travel)


def _route(random: np.random.Generator) -> Routes:
    stops = int(random.integers(0, STOPS_MAX + 1))
    loads = random.integers(-2, 2, (3, stops)) * np.array([[1], [1_000], [5_000]])
    return Routes(
        np.array([0, stops]),
        np.round(random.normal([12.97, 77.59], 0.05, (stops, 2)), 5),
        random.integers(0, 2, stops),
        random.integers(0, 120, stops).astype(float),
        NOW_S + random.integers(-600, 900, stops),
        NOW_S + random.integers(300, 5_400, stops),
        *loads,
    )


@dataclass(frozen=True)
class Fit:
    """A package in a route; all +inf where it has no room."""

    pickup_at_s: float = IMPOSSIBLE
    dropped_at_s: float = IMPOSSIBLE
    detour_s: float = IMPOSSIBLE
    delay_s: float = IMPOSSIBLE


def best_fit(problem: Problem, i: int, j: int) -> Fit:
    """Try every place for the pickup and the drop: least extra time on the road plus lateness, of all on board."""
    routes = problem.partners.routes
    stops = list(range(routes.offsets[j], routes.offsets[j + 1]))
    late_before, road_before = _drive(problem, i, j, stops)[2:]
    ride_s = _ride_s(problem, j, problem.packages.pickup[i], problem.packages.drop[i])
    fits: list[tuple[float, Fit]] = []
    for pickup in range(len(stops) + 1):
        for drop in range(pickup, len(stops) + 1):
            if not _has_room(problem, i, j, stops, pickup, drop):
                continue
            visits = [*stops[:pickup], "pickup", *stops[pickup:drop], "drop", *stops[drop:]]
            pickup_at, dropped_at, late, road = _drive(problem, i, j, visits)
            extra, delay = road - road_before, max(0.0, late - late_before)
            total = extra + delay + max(0.0, dropped_at - problem.packages.due_at_s[i])
            detour = max(0.0, extra - ride_s) if stops else 0.0
            fits.append((total, Fit(pickup_at, dropped_at, detour, delay)))
    return min(fits, key=lambda fit: fit[0])[1] if fits else Fit()


def _has_room(problem: Problem, i: int, j: int, stops: list[int], pickup: int, drop: int) -> bool:
    # Where nobody has a route, the rules of capacity say it.
    for column in ("parcels", "weight_g", "volume_cm3") if len(problem.partners.routes.place) else ():
        loads = getattr(problem.partners.routes, column)[stops]
        peak = max(int(loads[:count].sum()) for count in range(pickup, drop + 1))
        if getattr(problem.packages, column)[i] + peak > getattr(problem.partners, f"{column}_left")[j]:
            return False
    return True


def _drive(problem: Problem, i: int, j: int, visits: list[int | str]) -> tuple[float, float, float, float]:
    """Return when the package is reached and handed over, how late the others are, and the time on the road."""
    packages, routes = problem.packages, problem.partners.routes
    at, now_s = problem.partners.place[j], _start_s(problem, j)
    picked, late, road, reached, handed = False, 0.0, 0.0, IMPOSSIBLE, IMPOSSIBLE
    for visit in visits:
        if visit == "pickup":
            where, service, ready, picks = (
                packages.pickup[i],
                packages.pickup_service_s[i],
                packages.ready_at_s[i],
                True,
            )
        elif visit == "drop":
            where, service, ready, picks = packages.drop[i], packages.drop_service_s[i], -IMPOSSIBLE, False
        else:
            where, service = routes.place[visit], routes.service_s[visit]
            ready, picks = routes.ready_at_s[visit], bool(routes.pickup[visit])
        way_s = _ride_s(problem, j, at, where)
        begins_s = now_s - service / 2 if picked and picks and way_s == 0 else now_s + way_s + service / 2
        done_s = max(begins_s, ready)
        if visit == "pickup":
            reached = now_s + way_s
        elif visit == "drop":
            handed = done_s
        else:
            late += max(0.0, done_s - routes.due_at_s[visit])
        at, now_s, picked, road = where, done_s + service / 2, picks, road + way_s
    return reached, handed, late, road


def _start_s(problem: Problem, j: int) -> float:
    return max(problem.now_s, float(problem.partners.free_at_s[j]))


def _ride_s(problem: Problem, j: int, start: np.ndarray, end: np.ndarray) -> float:
    hour = int((_start_s(problem, j) + UTC_OFFSET_S) // 3600) % 24
    return haversine_m(start, end) / float(problem.travel.speed_m_per_s[problem.partners.vehicle[j], hour])


def _room(problem: Problem, j: int, column: str) -> int:
    routes = problem.partners.routes
    loads = getattr(routes, column)[routes.offsets[j] : routes.offsets[j + 1]]
    return int(getattr(problem.partners, f"{column}_left")[j]) - min(
        0, *(int(loads[:k].sum()) for k in range(len(loads) + 1))
    )


def _out_of_zones(p: Problem, i: int, j: int) -> bool:
    mine = range(p.partners.zone_offsets[j], p.partners.zone_offsets[j + 1])
    cuts = [5 * (7 - int(p.partners.zone_precision[k])) for k in mine]
    return bool(cuts) and not any(
        p.pickup_cell[i] >> cut == p.partners.zone_cell[k] for k, cut in zip(mine, cuts, strict=True)
    )


def _off_shift(p: Problem, i: int, j: int) -> bool:
    ready = max(p.now_s, p.packages.ready_at_s[i])
    mine = range(p.partners.slot_offsets[j], p.partners.slot_offsets[j + 1])
    return bool(mine) and not any(p.partners.slot_start_s[k] <= ready < p.partners.slot_end_s[k] for k in mine)


def _refused(p: Problem, i: int, j: int) -> bool:
    pair, merchant = [j, int(p.packages.merchant[i])], int(p.packages.merchant[i])
    denied, allowed = p.partners.merchants_denied.tolist(), p.partners.merchants_allowed.tolist()
    return pair in denied or (merchant in p.partners.merchants_choosing.tolist() and pair not in allowed)


def _rating_s(p: Problem, i: int, j: int) -> float:
    value, stars = p.packages.declared_value_paise[i] / 2_000_000, float(p.partners.rating[j])
    return IMPOSSIBLE if value >= 1 and stars < 3.5 else 60.0 * (5.0 - stars) * min(1.0, value)


def _fairness_s(p: Problem, i: int, j: int) -> float:
    mean = sum(p.partners.earned_paise_per_h.tolist()) / len(p.partners)
    return 60.0 * min(1.0, max(0.0, p.partners.earned_paise_per_h[j] / mean - 1)) if mean else 0.0


def _waiting_s(p: Problem, i: int, j: int) -> float:
    waited = [min(1_800.0, max(0.0, p.now_s - placed)) for placed in p.packages.placed_at_s]
    return max(waited) - waited[i]


def _lateness_s(p: Problem, i: int, j: int) -> float:
    fit = best_fit(p, i, j)
    late = max(0.0, fit.dropped_at_s - p.packages.due_at_s[i]) + fit.delay_s
    return min(86_400.0, late) if math.isfinite(late) else 0.0


def _unless(possible: bool) -> float:
    return 0.0 if possible else IMPOSSIBLE


REFERENCES: dict[str, Callable[[Problem, int, int], float]] = {
    "vehicle": lambda p, i, j: _unless(p.packages.vehicle_mask[i] >> p.partners.vehicle[j] & 1),
    "side": lambda p, i, j: _unless(p.packages.side_mm[i] <= p.partners.side_mm_max[j]),
    "parcels": lambda p, i, j: _unless(p.packages.parcels[i] <= _room(p, j, "parcels")),
    "parcel_weight": lambda p, i, j: _unless(p.packages.weight_g[i] <= _room(p, j, "weight_g")),
    "volume": lambda p, i, j: _unless(p.packages.volume_cm3[i] <= _room(p, j, "volume_cm3")),
    "shift": lambda p, i, j: _unless(not _off_shift(p, i, j)),
    "declined": lambda p, i, j: _unless([i, j] not in p.packages.declined.tolist()),
    "merchants": lambda p, i, j: _unless(not _refused(p, i, j)),
    "network": lambda p, i, j: {0.0: IMPOSSIBLE, 0.5: 300.0, 1.0: 0.0}[float(p.partners.network_health[j])],
    "cash": lambda p, i, j: _unless(p.packages.cash_on_delivery_paise[i] <= p.partners.cash_paise_left[j]),
    "rating": _rating_s,
    "reach": lambda p, i, j: _unless(
        haversine_m(p.packages.pickup[i], p.partners.place[j]) <= p.policy.pickup_distance_m_max
    ),
    "pickup_travel": lambda p, i, j: best_fit(p, i, j).pickup_at_s - p.now_s,
    "detour": lambda p, i, j: fit if math.isfinite(fit := best_fit(p, i, j).detour_s) else 0.0,
    "lateness": _lateness_s,
    "outside_zones": lambda p, i, j: 300.0 * _out_of_zones(p, i, j),
    "fairness": _fairness_s,
    "waiting": _waiting_s,
}
