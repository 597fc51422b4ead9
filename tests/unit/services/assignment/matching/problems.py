"""Random matching problems, and a slow reference that judges one pair at a time."""

import math

import numpy as np

from services.assignment.matching.costs import Lost
from services.assignment.matching.geography import cells, shortened
from services.assignment.matching.problem import SPEED_M_PER_S, Packages, Partners, Policy, zone_columns

NOW_S = 1_700_000_000.0


def random_problem(seed: int, n: int, m: int, spread_deg: float = 0.05) -> tuple[Packages, Partners]:
    """n packages and m partners round one city center; tight enough that every reason occurs."""
    random = np.random.default_rng(seed)

    def around(center: float, count: int) -> np.ndarray:
        return np.round(random.normal(center, spread_deg, count), 5)

    declined = [(i, j) for i in range(n) for j in range(m) if random.random() < 0.02]
    packages = Packages(
        ids=[f"package-{i}" for i in range(n)],
        pickup_lat=around(12.97, n),
        pickup_lng=around(77.59, n),
        drop_lat=around(12.97, n),
        drop_lng=around(77.59, n),
        weight_g=random.integers(100, 9_000, n),
        volume_cm3=random.integers(100, 40_000, n),
        side_mm=random.integers(100, 900, n),
        ready_at_s=NOW_S + random.integers(0, 3_600, n).astype(float),
        due_at_s=NOW_S + random.integers(600, 7_200, n).astype(float),
        vehicle_mask=random.integers(1, 64, n),
        declined=np.array(declined, dtype=np.int64).reshape(-1, 2),
    )
    slots = [sorted(random.integers(-1_800, 5_400, 2 * int(k))) for k in random.integers(0, 3, m)]
    slot_offsets = np.cumsum([0, *(len(s) // 2 for s in slots)])
    zones = [["tdr1", "tdr1v"][: int(k)] for k in random.integers(0, 3, m)]
    zone_offsets, zone_cell, zone_precision = zone_columns(zones)
    partners = Partners(
        ids=[f"partner-{j}" for j in range(m)],
        lat=around(12.97, m),
        lng=around(77.59, m),
        vehicle=random.integers(0, 6, m),
        parcels_left=random.integers(0, 4, m),
        weight_g_left=random.integers(1_000, 12_000, m),
        volume_cm3_left=random.integers(5_000, 60_000, m),
        side_mm_max=random.integers(300, 1_000, m),
        slot_offsets=slot_offsets,
        slot_start_s=NOW_S + np.array([s[i] for s in slots for i in range(0, len(s), 2)], dtype=float),
        slot_end_s=NOW_S + np.array([s[i] for s in slots for i in range(1, len(s), 2)], dtype=float),
        zone_offsets=zone_offsets,
        zone_cell=zone_cell,
        zone_precision=zone_precision,
    )
    return packages, partners


def haversine_m(lat_1: float, lng_1: float, lat_2: float, lng_2: float) -> float:
    """The textbook formula, one pair at a time."""
    a, b = math.radians(lat_1), math.radians(lat_2)
    chord = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lng_2 - lng_1) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(chord))


def judge(packages: Packages, partners: Partners, policy: Policy, i: int, j: int) -> tuple[Lost, float]:
    """The first reason that rules a pair out, and what it would cost."""
    slots = range(partners.slot_offsets[j], partners.slot_offsets[j + 1])
    zones = range(partners.zone_offsets[j], partners.zone_offsets[j + 1])
    ready = packages.ready_at_s[i]
    to_pickup_m = haversine_m(packages.pickup_lat[i], packages.pickup_lng[i], partners.lat[j], partners.lng[j])
    ride_m = haversine_m(packages.pickup_lat[i], packages.pickup_lng[i], packages.drop_lat[i], packages.drop_lng[i])
    speed = float(SPEED_M_PER_S[partners.vehicle[j]])
    arrives = max(NOW_S + to_pickup_m / speed, ready) + ride_m / speed
    cell = cells(packages.pickup_lat[i : i + 1], packages.pickup_lng[i : i + 1])
    preferred = [bool(shortened(cell, partners.zone_precision[k])[0] == partners.zone_cell[k]) for k in zones]
    cost_s = to_pickup_m / speed + policy.lateness_weight * max(0.0, arrives - packages.due_at_s[i])
    cost_s += policy.zone_penalty_s if preferred and not any(preferred) else 0.0
    checks = (
        (Lost.WRONG_VEHICLE, not packages.vehicle_mask[i] >> partners.vehicle[j] & 1),
        (Lost.TOO_LONG, packages.side_mm[i] > partners.side_mm_max[j]),
        (Lost.NO_PARCELS_LEFT, partners.parcels_left[j] < 1),
        (Lost.TOO_HEAVY, packages.weight_g[i] > partners.weight_g_left[j]),
        (Lost.TOO_BULKY, packages.volume_cm3[i] > partners.volume_cm3_left[j]),
        (
            Lost.OFF_SHIFT,
            bool(slots) and not any(partners.slot_start_s[k] <= ready < partners.slot_end_s[k] for k in slots),
        ),
        (Lost.DECLINED_BEFORE, [i, j] in packages.declined.tolist()),
        (Lost.TOO_FAR, to_pickup_m > policy.pickup_distance_m_max),
    )
    return next((reason for reason, broken in checks if broken), Lost.FEASIBLE), cost_s
