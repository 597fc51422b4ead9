"""Random matching problems, and a slow reference that judges one pair at a time."""

import math

import numpy as np

from services.assignment.matching.geography import bits_cut, cells, zone_columns
from services.assignment.matching.problem import Packages, Partners, Policy, Problem, RuleConfig
from services.assignment.matching.rules.zones import OutsideZones
from services.assignment.matching.travel import SPEED_M_PER_S, Travel

NOW_S = 1_700_000_000.0
FEASIBLE = ""


def policy_of(pickup_distance_m_max: float = 8_000.0, zone_penalty_s: float = 300.0) -> Policy:
    """A policy as a city states it."""
    rules = {OutsideZones.name: RuleConfig(parameters={"penalty_s": zone_penalty_s})}
    return Policy(pickup_distance_m_max=pickup_distance_m_max, rules=rules)


def random_problem(seed: int, n: int, m: int, spread_deg: float = 0.05, policy: Policy | None = None) -> Problem:
    """n packages and m partners round one city center; tight enough that every reason occurs."""
    random = np.random.default_rng(seed)

    def around(count: int) -> np.ndarray:
        return np.round(random.normal([12.97, 77.59], spread_deg, (count, 2)), 5)

    declined = [(i, j) for i in range(n) for j in range(m) if random.random() < 0.02]
    packages = Packages.of(
        [f"package-{i}" for i in range(n)],
        around(n),
        around(n),
        weight_g=random.integers(100, 9_000, n),
        volume_cm3=random.integers(100, 40_000, n),
        side_mm=random.integers(100, 900, n),
        placed_at_s=np.full(n, NOW_S),
        ready_at_s=NOW_S + random.integers(0, 3_600, n).astype(float),
        due_at_s=NOW_S + random.integers(600, 7_200, n).astype(float),
        vehicle_mask=random.integers(1, 64, n),
        declined=np.array(declined, dtype=np.int64).reshape(-1, 2),
    )
    slots = [sorted(random.integers(-1_800, 5_400, 2 * int(k))) for k in random.integers(0, 3, m)]
    zones = [["tdr1", "tdr1v"][: int(k)] for k in random.integers(0, 3, m)]
    zone_offsets, zone_cell, zone_precision = zone_columns(zones)
    partners = Partners.of(
        [f"partner-{j}" for j in range(m)],
        around(m),
        vehicle=random.integers(0, 6, m),
        parcels_left=random.integers(0, 4, m),
        weight_g_left=random.integers(1_000, 12_000, m),
        volume_cm3_left=random.integers(5_000, 60_000, m),
        side_mm_max=random.integers(300, 1_000, m),
        slot_offsets=np.cumsum([0, *(len(s) // 2 for s in slots)]),
        slot_start_s=NOW_S + np.array([s[i] for s in slots for i in range(0, len(s), 2)], dtype=float),
        slot_end_s=NOW_S + np.array([s[i] for s in slots for i in range(1, len(s), 2)], dtype=float),
        zone_offsets=zone_offsets,
        zone_cell=zone_cell,
        zone_precision=zone_precision,
    )
    return Problem(packages, partners, policy or policy_of(), Travel(), NOW_S)


def haversine_m(one: np.ndarray, other: np.ndarray) -> float:
    """The textbook formula, one pair at a time."""
    a, b = math.radians(one[0]), math.radians(other[0])
    chord = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(other[1] - one[1]) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(chord))


def judge(problem: Problem, i: int, j: int) -> tuple[str, float]:
    """The reason of lowest rank that rules a pair out, FEASIBLE without one, and what it would cost."""
    packages, partners, policy = problem.packages, problem.partners, problem.policy
    slots = range(partners.slot_offsets[j], partners.slot_offsets[j + 1])
    zones = range(partners.zone_offsets[j], partners.zone_offsets[j + 1])
    ready = packages.ready_at_s[i]
    to_pickup_m = haversine_m(packages.pickup[i], partners.place[j])
    ride_m = haversine_m(packages.pickup[i], packages.drop[i])
    speed = float(SPEED_M_PER_S[partners.vehicle[j]])
    arrives = max(NOW_S + to_pickup_m / speed, ready) + ride_m / speed
    cell = cells(packages.pickup[i : i + 1, 0], packages.pickup[i : i + 1, 1])
    preferred = [bool((cell >> bits_cut(partners.zone_precision[k]))[0] == partners.zone_cell[k]) for k in zones]
    cost_s = to_pickup_m / speed + 2.0 * max(0.0, arrives - packages.due_at_s[i])
    cost_s += policy.rules[OutsideZones.name].parameters["penalty_s"] if preferred and not any(preferred) else 0.0
    checks = (
        ("WRONG_VEHICLE", not packages.vehicle_mask[i] >> partners.vehicle[j] & 1),
        ("TOO_LONG", packages.side_mm[i] > partners.side_mm_max[j]),
        ("NO_PARCELS_LEFT", partners.parcels_left[j] < 1),
        ("TOO_HEAVY", packages.weight_g[i] > partners.weight_g_left[j]),
        ("TOO_BULKY", packages.volume_cm3[i] > partners.volume_cm3_left[j]),
        (
            "OFF_SHIFT",
            bool(slots) and not any(partners.slot_start_s[k] <= ready < partners.slot_end_s[k] for k in slots),
        ),
        ("DECLINED_BEFORE", [i, j] in packages.declined.tolist()),
        ("TOO_FAR", to_pickup_m > policy.pickup_distance_m_max),
    )
    return next((reason for reason, broken in checks if broken), FEASIBLE), cost_s
