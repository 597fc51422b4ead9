"""Scenarios from other people's days: Rappi folders, LaDe parquet files, and any scenario with some partners taken out.

Rows that cannot be read as what they should be are left out and counted; the rest becomes the scenario. The readers are
those of `lastmile import`.
"""

import csv
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cli.imports.plan import ImportFileError, Json, Refusal, Row
from cli.imports.rappi import RappiDay
from cli.simulate.scenario import ORDERS, PARTNERS, PICKUPS, SETTINGS, read_scenario

# Any day will do: a scenario counts minutes from its own midnight. A leap year has every day there is.
DAY = date(2024, 1, 1)
DAY_MIN = 1440
ORDER_COLUMNS = ("order_id", "lat", "lng", "pickup_id", "placed_min", "ready_min")
PARTNER_COLUMNS = ("partner_id", "lat", "lng", "on_min", "off_min", "vehicle")
MEALS: dict[str, Any] = {
    "metric": "haversine",
    "speed_m_per_min": 320.0,
    "round_travel_to_min": False,
    "pickup_service_min": 4.0,
    "dropoff_service_min": 4.0,
    "service_target_min": 40.0,
    "service_max_min": 90.0,
    "pay_per_delivery_minor": 1000,
    "pay_guarantee_per_hour_minor": 1500,
    "reposition": True,
}
# Three-wheelers between doors a few streets apart, with a promise of half a working day.
PARCELS = MEALS | {
    "speed_m_per_min": 250.0,
    "dropoff_service_min": 3.0,
    "service_target_min": 240.0,
    "service_max_min": 720.0,
    "reposition": False,
}
# How far from its middle a city reaches, in degrees.
CITY_DEG = 0.5
PARCELS_MAX, PARCEL_G, LOAD_G_MAX = 25, 1_500, 60_000
LADE_COLUMNS = (
    "order_id", "courier_id", "lng", "lat", "accept_time", "accept_gps_lng", "accept_gps_lat", "delivery_time", "ds",
)  # fmt: skip


@dataclass
class Converted:
    """What became of the rows; `refused` counts those left out by reason."""

    orders: int = 0
    partners: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass
class _Pickups:
    """Pickups by their rounded place, in the order in which they are met."""

    decimals: int
    rows: list[tuple[str, float, float]] = field(default_factory=list)
    _ids: dict[tuple[float, float], str] = field(default_factory=dict)

    def id(self, lat: float, lng: float) -> str:
        place = (round(lat, self.decimals), round(lng, self.decimals))
        if place not in self._ids:
            self._ids[place] = f"p{len(self._ids) + 1}"
            self.rows.append((self._ids[place], *place))
        return self._ids[place]


def convert_rappi(source: Path, out: Path) -> Converted:
    """Write the scenario of a folder with orders.csv and couriers.csv. Raises ImportFileError, OSError."""
    day, zone, done = RappiDay(source, DAY, ZoneInfo("UTC")), ZoneInfo("UTC"), Converted()
    midnight = datetime.combine(DAY, datetime.min.time(), zone)
    pickups, orders, partners = _Pickups(6), [], []
    for row in day.deliveries():
        if isinstance(row, Refusal):
            done.refused[f"orders: {row.reason}"] += 1
            continue
        details = row.request["details"]
        orders.append(
            (
                f"o{row.origin.id}", *_place(details["drop"]), pickups.id(*_place(details["pickup"])),
                _minutes(details["dropWindow"]["start"], midnight), _minutes(details["readyAt"], midnight),
            )
        )  # fmt: skip
    for row in day.partners():
        if isinstance(row, Refusal):
            done.refused[f"couriers: {row.reason}"] += 1
            continue
        partners.append(_partner(row, midnight))
    _write(out, MEALS, pickups, (ORDER_COLUMNS, orders), (PARTNER_COLUMNS, partners))
    done.orders, done.partners = len(orders), len(partners)
    return done


def _partner(row: Row, midnight: datetime) -> tuple[Any, ...]:
    profile, (slot,) = row.request["profile"], row.request["shiftSlots"]
    return (
        f"c{row.origin.id}", *_place(profile["home"]), _minutes(slot["start"], midnight),
        _minutes(slot["end"], midnight), profile["vehicle"].removeprefix("VEHICLE_").lower(),
    )  # fmt: skip


def _place(location: Json) -> tuple[float, float]:
    return location["latitudeDeg"], location["longitudeDeg"]


def _minutes(text: str, midnight: datetime) -> float:
    return round((datetime.fromisoformat(text) - midnight).total_seconds() / 60, 6)


def convert_lade(source: Path, out: Path, first_day: int, days: int) -> Converted:
    """Write the scenario of some days of a delivery_*.parquet. Raises ImportFileError, OSError.

    first_day: as the file's column `ds` has it, 907 is 7 September. A courier-day is a partner: on duty from its first
    parcel to its last delivery. Parcels are ready when they were accepted, and all known at that moment.
    """
    try:
        if not source.is_file():
            raise ImportFileError(f"{source}: No such file; name a delivery_*.parquet")
        table = pq.read_table(source, columns=list(LADE_COLUMNS), use_threads=False)
    except (pa.ArrowException, KeyError) as error:
        raise ImportFileError(f"{source}: is not a LaDe parquet file ({str(error).splitlines()[0]})") from None
    try:
        start = datetime(DAY.year, first_day // 100, first_day % 100, tzinfo=UTC)
    except ValueError:
        raise ImportFileError(f"--first-day {first_day} is no day as MDD, such as 907 for 7 September") from None
    wanted = {(at.month * 100 + at.day): place for place in range(days) for at in [start + timedelta(days=place)]}
    done, pickups, orders, shifts = Converted(), _Pickups(3), [], dict[str, list[Any]]()
    rows = [row for row in table.to_pylist() if row["ds"] in wanted]
    doors = [(row["lat"], row["lng"]) for row in rows if row["lat"] is not None and row["lng"] is not None]
    center = (median(lat for lat, _ in doors), median(lng for _, lng in doors)) if doors else (0.0, 0.0)
    for row in rows:
        found = _parcel(row, start, center)
        if isinstance(found, str):
            done.refused[found] += 1
            continue
        accepted, delivered = found
        due = accepted + PARCELS["service_target_min"]
        orders.append(
            (f"o{row['order_id']}", row["lat"], row["lng"], pickups.id(row["accept_gps_lat"], row["accept_gps_lng"]),
             accepted, accepted, PARCEL_G, due)
        )  # fmt: skip
        partner = f"c{row['courier_id']}-{row['ds']}"
        shift = shifts.setdefault(partner, [row["accept_gps_lat"], row["accept_gps_lng"], accepted, delivered])
        if accepted < shift[2]:
            shift[:3] = [row["accept_gps_lat"], row["accept_gps_lng"], accepted]
        shift[3] = max(shift[3], delivered)
    orders.sort(key=lambda order: (order[4], order[0]))
    partners = [
        (name, *shift, "three_wheeler", PARCELS_MAX, LOAD_G_MAX)
        for name, shift in sorted(shifts.items(), key=lambda item: (item[1][2], item[0]))
    ]
    _write(
        out, PARCELS, pickups, ((*ORDER_COLUMNS, "weight_g", "due_min"), orders),
        ((*PARTNER_COLUMNS, "max_parcels", "max_weight_g"), partners),
    )  # fmt: skip
    done.orders, done.partners = len(orders), len(partners)
    return done


def _parcel(row: Json, start: datetime, center: tuple[float, float]) -> tuple[float, float] | str:
    """Return when the parcel was accepted and delivered, in minutes; or why its row is left out."""
    for lat, lng, what in (("accept_gps_lat", "accept_gps_lng", "accept place"), ("lat", "lng", "door")):
        if row[lat] is None or row[lng] is None:
            return f"no {what}"
        # A few positions are in another province.
        if max(abs(row[lat] - center[0]), abs(row[lng] - center[1])) > CITY_DEG:
            return f"{what} far away"
    try:
        accepted, delivered = (
            (datetime.strptime(f"{DAY.year}-{row[name]}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) - start)
            / timedelta(minutes=1)
            for name in ("accept_time", "delivery_time")
        )
    except ValueError:
        return "times unreadable"
    if not accepted <= delivered <= accepted + DAY_MIN:
        return "delivered before it was accepted, or days later"
    return accepted, delivered


def thin_out(source: Path, out: Path, keep: float, seed: int) -> Converted:
    """Write a scenario with a share of its partners, chosen by `seed`. Raises ScenarioError, OSError."""
    scenario = read_scenario(source)
    count = round(len(scenario.partner_ids) * keep)
    kept = set(np.random.default_rng(seed).permutation(len(scenario.partner_ids))[:count].tolist())
    out.mkdir(parents=True, exist_ok=True)
    for name in (SETTINGS, PICKUPS, ORDERS):
        shutil.copyfile(source / name, out / name)
    with (source / PARTNERS).open(newline="", encoding="utf-8-sig") as file:
        header, *rows = (row for row in csv.reader(file) if row)
    _csv(out / PARTNERS, header, (row for index, row in enumerate(rows) if index in kept))
    return Converted(len(scenario.order_ids), count)


def _write(
    out: Path,
    settings: Mapping[str, Any],
    pickups: _Pickups,
    orders: tuple[Sequence[str], Iterable[Sequence[Any]]],
    partners: tuple[Sequence[str], Iterable[Sequence[Any]]],
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {str(value).lower()}"
        for name, value in settings.items()
    ]
    (out / SETTINGS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    _csv(out / PICKUPS, ("pickup_id", "lat", "lng"), pickups.rows)
    _csv(out / ORDERS, *orders)
    _csv(out / PARTNERS, *partners)


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
