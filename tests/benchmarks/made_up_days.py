"""Made-up days of meals from a seed: clusters of restaurants, two peaks, shifts that follow the demand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.scenarios import write_rows, write_settings

# How orders spread over the hours from 8:00 on.
HOURLY = np.array([0.2, 0.3, 0.6, 1.6, 2.2, 1.5, 0.8, 0.8, 1.2, 2.6, 3.6, 3.3, 2.0, 1.0, 0.4])
OPENS_MIN, CLUSTERS, RIDE_M_MAX = 480, 4, 5500
SHIFTS_MIN = (90, 120, 150, 180, 240, 300)


@dataclass(frozen=True)
class MadeUp:
    """A day of `orders`, with partners on duty for orders / per_hour hours. prep_min: the range of mean preparation."""

    seed: int
    orders: int
    restaurants: int
    per_hour: float
    radius_m: int
    prep_min: tuple[int, int]
    reposition: bool


def write_day(folder: Path, day: MadeUp) -> None:
    """Write the scenario; the same day gives the same bytes."""
    chance = np.random.default_rng(day.seed)
    write_settings(folder, reposition=day.reposition)
    centers = chance.normal(0, day.radius_m * 0.6, (CLUSTERS, 2))
    which = chance.integers(0, CLUSTERS, day.restaurants)
    restaurants = np.round(centers[which] + chance.normal(0, day.radius_m * 0.4, (day.restaurants, 2)), 1)
    popular = chance.pareto(1.5, day.restaurants) + 0.3
    hourly = HOURLY / HOURLY.sum()
    hours = chance.choice(len(hourly), day.orders, p=hourly)
    placed = np.sort(np.floor(OPENS_MIN + 60 * (hours + chance.random(day.orders)))).astype(int)
    pickup = chance.choice(day.restaurants, day.orders, p=popular / popular.sum())
    preparation = chance.gamma(6, chance.uniform(*day.prep_min) / 6, day.orders)
    ready = placed + np.maximum(3, np.round(preparation)).astype(int)
    angle = chance.uniform(0, 2 * np.pi, day.orders)
    ride_m = np.minimum(chance.gamma(2.2, 900, day.orders), RIDE_M_MAX)
    drop = np.round(restaurants[pickup] + np.c_[np.cos(angle), np.sin(angle)] * ride_m[:, None], 1)
    write_rows(folder / "pickups.csv", "pickup_id,x,y", [(f"r{i}", x, y) for i, (x, y) in enumerate(restaurants)])
    rows = [(f"o{i}", *drop[i], f"r{pickup[i]}", placed[i], ready[i]) for i in range(day.orders)]
    write_rows(folder / "orders.csv", "order_id,x,y,pickup_id,placed_min,ready_min", rows)
    write_rows(folder / "partners.csv", "partner_id,x,y,on_min,off_min", _shifts(chance, day, centers, hourly))


def _shifts(
    chance: np.random.Generator, day: MadeUp, centers: np.ndarray, hourly: np.ndarray
) -> list[tuple[str, str, str, int, int]]:
    needed_min, shifts = day.orders / day.per_hour * 60, []
    while needed_min > 0:
        length_min = int(chance.choice(SHIFTS_MIN))
        hour = chance.choice(len(hourly), p=hourly)
        on_min = int(OPENS_MIN + 60 * (hour + chance.random()) - length_min * chance.random() * 0.8)
        on_min = max(OPENS_MIN - 10, on_min)
        x, y = centers[chance.integers(0, CLUSTERS)] + chance.normal(0, day.radius_m * 0.5, 2)
        shifts.append((f"c{len(shifts)}", f"{x:.1f}", f"{y:.1f}", on_min, on_min + length_min))
        needed_min -= length_min
    return shifts


# Chose nothing: they are run to see what the policy is worth.
HELD_OUT = {
    f"made up {i}": MadeUp(
        seed=100 + i,
        orders=(250, 500, 900, 1500)[i % 4],
        restaurants=(60, 110, 200, 260)[i % 4],
        per_hour=(1.5, 2.0, 2.5, 3.0, 1.8, 2.2, 2.7, 3.5)[i],
        radius_m=(3500, 5000, 7000)[i % 3],
        prep_min=((8, 20), (12, 26))[i % 2],
        reposition=i % 2 == 0,
    )
    for i in range(8)
}
# Those that the numbers of the shipped policy were chosen on.
TUNING = {
    f"tuning {day.seed}": day
    for day in (
        MadeUp(1, 300, 80, 1.6, 4000, (8, 20), True),
        MadeUp(2, 500, 110, 2.0, 4000, (8, 20), True),
        MadeUp(3, 800, 150, 2.4, 5000, (8, 20), True),
        MadeUp(4, 500, 60, 2.8, 3500, (8, 20), True),
        MadeUp(5, 250, 70, 2.0, 7000, (8, 20), True),
        MadeUp(6, 1200, 200, 2.2, 4000, (8, 20), True),
        MadeUp(50, 400, 90, 1.7, 4000, (8, 20), True),
        MadeUp(51, 400, 120, 2.1, 5000, (10, 24), True),
        MadeUp(52, 400, 60, 2.4, 3500, (8, 20), True),
        MadeUp(53, 400, 90, 2.0, 3500, (12, 26), True),
        MadeUp(54, 400, 130, 1.9, 6000, (8, 20), True),
        MadeUp(55, 400, 70, 2.7, 3000, (8, 20), True),
        MadeUp(56, 600, 150, 2.3, 4500, (6, 16), True),
        MadeUp(57, 600, 100, 1.8, 4000, (8, 20), True),
    )
}
