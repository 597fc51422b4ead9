"""Seeded clustered geography: 25 cities of Zipf size with 12 hot spots each, and one city's windows with every rule."""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching.geography import zone_columns
from services.assignment.matching.groups import within
from services.assignment.matching.problem import (
    ANY_VEHICLE,
    Packages,
    Partners,
    Policy,
    Problem,
    RuleConfig,
)
from services.assignment.matching.routes import Routes
from services.assignment.matching.travel import SPEED_M_PER_S, Travel, steady

CITIES, HOT_SPOTS = 25, 12
# Degrees, about: hot spots lie 6 km round the center, packages 800 m and partners 1,300 m round a hot spot.
CITY_DEG, PACKAGE_DEG, PARTNER_DEG, RIDE_DEG = 0.055, 0.007, 0.012, 0.02
REACH_M = 50_000.0
NOW_S = 1_800_000_000.0


@dataclass(frozen=True)
class World:
    """Hot spots with their shares of the demand."""

    spots: np.ndarray
    shares: np.ndarray

    def draw(self, random: np.random.Generator, count: int, spread_deg: float) -> np.ndarray:
        """Return (count, 2) places round the hot spots."""
        spot = random.choice(len(self.spots), count, p=self.shares)
        return self.spots[spot] + random.normal(0, spread_deg, (count, 2))


def world(random: np.random.Generator, cities: int = CITIES, zipf: float = 1.0) -> World:
    """Return `cities` cities; `zipf` 0 makes them equally large."""
    size = 1.0 / np.arange(1, cities + 1) ** zipf
    side = int(np.ceil(np.sqrt(cities)))
    # Far enough from each other, as cities are.
    grid = np.stack(np.meshgrid(np.linspace(9, 28, side), np.linspace(72, 88, side)), axis=-1).reshape(-1, 2)[:cities]
    spots = grid[:, None] + random.normal(0, CITY_DEG, (cities, HOT_SPOTS, 2))
    shares = size[:, None] / size.sum() * random.dirichlet(np.full(HOT_SPOTS, 2.0), cities)
    return World(spots.reshape(-1, 2), (shares / shares.sum()).ravel())


def national(seed: int, n: int, m: int, capacity: int, cities: int = CITIES, zipf: float = 1.0) -> Problem:
    """n packages and m partners with room for 1 to `capacity` packages each."""
    random = np.random.default_rng(seed)
    country = world(random, cities, zipf)
    pickup = country.draw(random, n, PACKAGE_DEG)
    packages = Packages.of([f"package-{i}" for i in range(n)], pickup, pickup + random.normal(0, RIDE_DEG, (n, 2)))
    room = random.integers(1, capacity + 1, m)
    partners = Partners.of(
        [f"partner-{j}" for j in range(m)], country.draw(random, m, PARTNER_DEG), parcels_left=room, units_max=room
    )
    return Problem(packages, partners, Policy(pickup_distance_m_max=REACH_M), Travel(), NOW_S)


def city_window(seed: int, n: int, m: int) -> Problem:
    """One city's window in which every rule has something to do and a third of the partners has a route."""
    random = np.random.default_rng(seed)
    city = world(random, cities=1)
    pickup = city.draw(random, n, PACKAGE_DEG)
    packages = Packages.of(
        [f"package-{i}" for i in range(n)],
        pickup,
        pickup + random.normal(0, RIDE_DEG, (n, 2)),
        # Most parcels are small, some are not: medians of 1.2 kg and 5 l.
        weight_g=np.clip(random.lognormal(np.log(1_200), 1.0, n), 50, 25_000).astype(np.int64),
        volume_cm3=np.clip(random.lognormal(np.log(5_000), 1.0, n), 200, 150_000).astype(np.int64),
        side_mm=random.integers(100, 900, n),
        placed_at_s=NOW_S - random.uniform(0, 1_200, n),
        ready_at_s=NOW_S + random.uniform(-600, 1_200, n),
        due_at_s=NOW_S + random.uniform(1_200, 5_400, n),
        vehicle_mask=np.where(random.random(n) < 0.8, ANY_VEHICLE, random.integers(1, 64, n)),
        declared_value_paise=random.integers(0, 3_000_000, n),
        cash_on_delivery_paise=np.where(random.random(n) < 0.4, random.integers(0, 800_000, n), 0),
        merchant=random.integers(0, 40, n),
        pickup_service_s=np.full(n, 120.0),
        drop_service_s=np.full(n, 120.0),
        declined=np.column_stack([random.integers(0, n, 200), random.integers(0, m, 200)]),
    )
    zones = [["tdr1", "tdr1v", "tdr5", "tdr4"][: int(k)] for k in random.integers(0, 4, m)]
    zone_offsets, zone_cell, zone_precision = zone_columns(zones)
    slots = random.integers(1, 4, m)
    slot_start_s = NOW_S + random.uniform(-7_200, 1_800, slots.sum())
    place = city.draw(random, m, PARTNER_DEG)
    partners = Partners.of(
        [f"partner-{j}" for j in range(m)],
        place,
        free_at_s=NOW_S + np.where(random.random(m) < 0.2, random.uniform(0, 600, m), 0.0),
        vehicle=random.choice([1, 2, 2, 2, 2, 3, 5], m),
        parcels_left=random.integers(0, 4, m),
        weight_g_left=random.integers(5_000, 40_000, m),
        volume_cm3_left=random.integers(20_000, 200_000, m),
        side_mm_max=random.integers(400, 1_200, m),
        rating=random.uniform(3, 5, m),
        cash_paise_left=random.integers(0, 2_000_000, m),
        earned_paise_per_h=random.integers(0, 30_000, m),
        network_health=random.choice([1.0, 1.0, 1.0, 0.5, 0.0], m),
        slot_offsets=np.concatenate([[0], np.cumsum(slots)]),
        slot_start_s=slot_start_s,
        slot_end_s=slot_start_s + random.uniform(3_600, 14_400, slots.sum()),
        zone_offsets=zone_offsets,
        zone_cell=zone_cell,
        zone_precision=zone_precision,
        merchants_denied=np.column_stack([random.integers(0, m, 100), random.integers(0, 40, 100)]),
        merchants_allowed=np.column_stack([random.integers(0, m, m // 2), np.full(m // 2, 39)]),
        routes=_routes(random, place),
    )
    speed = steady(SPEED_M_PER_S)
    speed[:, 8:11] *= 0.7
    rules = {"outside_zones": RuleConfig(weight=0.8), "fairness": RuleConfig(parameters={"penalty_s": 120.0})}
    return Problem(packages, partners, Policy(8_000.0, rules), Travel(speed_m_per_s=speed, utc_offset_s=19_800), NOW_S)


def _routes(random: np.random.Generator, place: np.ndarray) -> Routes:
    """A third of the partners has one to four stops left, each due ten minutes or more after the one before."""
    m = len(place)
    lengths = np.where(random.random(m) < 1 / 3, random.integers(1, 5, m), 0)
    stops = int(lengths.sum())
    nothing = np.zeros(stops, dtype=np.int64)
    return Routes(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        place=np.repeat(place, lengths, axis=0) + random.normal(0, PARTNER_DEG, (stops, 2)),
        pickup=random.integers(0, 2, stops),
        service_s=np.full(stops, 120.0),
        ready_at_s=NOW_S + random.uniform(-600, 600, stops),
        due_at_s=NOW_S + 600.0 * (1 + within(lengths)) + random.uniform(0, 2_400, stops),
        parcels=nothing,
        weight_g=nothing,
        volume_cm3=nothing,
    )
