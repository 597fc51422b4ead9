"""Scenarios for `lastmile simulate`, made up from a seed: small towns where meals, or parcels, are delivered."""

import random
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "metric": "euclidean",
    "speed_m_per_min": 320.0,
    "round_travel_to_min": True,
    "pickup_service_min": 4.0,
    "dropoff_service_min": 4.0,
    "service_target_min": 40.0,
    "service_max_min": 90.0,
    "pay_per_delivery_minor": 1000,
    "pay_guarantee_per_hour_minor": 1500,
    "reposition": False,
}


def write_settings(folder: Path, **changes: Any) -> None:
    """Write scenario.toml; a change to None leaves the line out."""
    lines = []
    for name, value in (SETTINGS | changes).items():
        if isinstance(value, str):
            lines.append(f'{name} = "{value}"')
        elif value is not None:
            lines.append(f"{name} = {str(value).lower()}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.toml").write_text("\n".join(lines) + "\n")


def write_rows(path: Path, header: str, rows: list[tuple[Any, ...]]) -> None:
    """Write a CSV file."""
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def write_scenario(
    folder: Path,
    seed: int = 1,
    orders: int = 40,
    partners: int = 8,
    pickups: int = 6,
    span_min: int = 120,
    limits: bool = False,
    **settings: Any,
) -> Path:
    """Write a whole scenario; `limits` gives orders sizes and due times, and partners capacities. Return the folder."""
    chance = random.Random(seed)
    settings = {"round_travel_to_min": chance.random() < 0.5} | settings
    write_settings(folder, **settings)
    spherical = settings.get("metric") == "haversine"
    axes = "lat,lng" if spherical else "x,y"

    def place() -> tuple[float, float]:
        if spherical:
            return round(4.8 + chance.gauss(0, 0.01), 6), round(-75.7 + chance.gauss(0, 0.01), 6)
        return round(chance.gauss(0, 1500), 1), round(chance.gauss(0, 1500), 1)

    write_rows(folder / "pickups.csv", f"pickup_id,{axes}", [(f"p{i}", *place()) for i in range(pickups)])
    rows: list[tuple[Any, ...]] = []
    for i in range(orders):
        placed = 600 + chance.randrange(span_min)
        ready = placed + chance.randrange(0, 25)
        row = (f"o{i}", *place(), f"p{chance.randrange(pickups)}", placed, ready)
        sizes = (chance.randrange(1, 900), chance.randrange(1, 9000), placed + chance.randrange(30, 70))
        rows.append((*row, *sizes) if limits else row)
    header = f"order_id,{axes},pickup_id,placed_min,ready_min" + (",weight_g,volume_cm3,due_min" if limits else "")
    write_rows(folder / "orders.csv", header, rows)
    rows = []
    for i in range(partners):
        on = 580 + chance.randrange(60)
        row = (f"c{i}", *place(), on, on + chance.randrange(60, 240))
        capacity = (chance.randrange(1, 5), chance.randrange(500, 3000), chance.randrange(5000, 30000))
        rows.append((*row, *capacity) if limits else row)
    header = f"partner_id,{axes},on_min,off_min" + (",max_parcels,max_weight_g,max_volume_cm3" if limits else "")
    write_rows(folder / "partners.csv", header, rows)
    return folder
