"""A scenario folder read into arrays: scenario.toml, pickups.csv, orders.csv, partners.csv."""

import csv
import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.assignment.matching.horizon.day import NO_LIMIT, Day, Floats, Ints

SETTINGS, PICKUPS, ORDERS, PARTNERS = FILES = ("scenario.toml", "pickups.csv", "orders.csv", "partners.csv")
ROWS_MAX = 2_000_000
METRICS = ("euclidean", "haversine")
MINUTES_MAX = 1e7


class ScenarioError(Exception):
    """A scenario cannot be read: which file, row, column and value, what is wrong, and what to do."""


@dataclass(frozen=True)
class Settings:
    """scenario.toml."""

    metric: str
    speed_m_per_min: float
    round_travel_to_min: bool
    pickup_service_min: float
    dropoff_service_min: float
    service_target_min: float
    service_max_min: float
    pay_per_delivery_minor: int
    pay_guarantee_per_hour_minor: int
    reposition: bool


@dataclass(frozen=True)
class Scenario:
    """The settings, the day as arrays, and what its rows are called."""

    settings: Settings
    day: Day
    pickup_ids: tuple[str, ...]
    order_ids: tuple[str, ...]
    partner_ids: tuple[str, ...]


def read_scenario(folder: Path) -> Scenario:
    """Read a folder. Raises ScenarioError."""
    settings = _settings(folder / SETTINGS)
    axes = ("lat", "lng") if settings.metric == "haversine" else ("x", "y")
    pickups = Table(folder / PICKUPS, ("pickup_id", *axes))
    orders = Table(folder / ORDERS, ("order_id", *axes, "pickup_id", "placed_min", "ready_min"))
    partners = Table(folder / PARTNERS, ("partner_id", *axes, "on_min", "off_min"))
    pickup_ids, order_ids, partner_ids = (
        pickups.ids("pickup_id"), orders.ids("order_id"), partners.ids("partner_id"),
    )  # fmt: skip
    placed, ready = orders.minutes("placed_min"), orders.minutes("ready_min")
    orders.refuse("ready_min", ready < placed, "is before placed_min; goods are ready when they are ordered or later")
    on, off = partners.minutes("on_min"), partners.minutes("off_min")
    partners.refuse("off_min", off < on, "is before on_min; a shift ends after it begins (after midnight: add 1440)")
    due = orders.floats("due_min", -math.inf, MINUTES_MAX, missing=math.nan)
    orders.refuse("due_min", due < placed, "is before placed_min")
    day = Day(
        haversine=settings.metric == "haversine",
        speed_m_per_min=settings.speed_m_per_min,
        round_travel_to_min=settings.round_travel_to_min,
        pickup_service_min=settings.pickup_service_min,
        dropoff_service_min=settings.dropoff_service_min,
        reposition=settings.reposition,
        pickup_place=pickups.places(axes),
        order_pickup=orders.references("pickup_id", pickup_ids, PICKUPS),
        drop_place=orders.places(axes),
        placed_min=placed,
        ready_min=ready,
        due_min=np.where(np.isnan(due), placed + settings.service_target_min, due),
        latest_min=placed + settings.service_max_min,
        weight_g=orders.counts("weight_g", 0),
        volume_cm3=orders.counts("volume_cm3", 0),
        start_place=partners.places(axes),
        on_min=on,
        off_min=off,
        parcels_max=partners.counts("max_parcels", NO_LIMIT),
        weight_g_max=partners.counts("max_weight_g", NO_LIMIT),
        volume_cm3_max=partners.counts("max_volume_cm3", NO_LIMIT),
    )
    return Scenario(settings, day, pickup_ids, order_ids, partner_ids)


class Table:
    """A CSV file with a header, as text columns. `required` columns must be there; others may be."""

    def __init__(self, path: Path, required: Sequence[str]) -> None:
        self._path = path
        self._lines: list[int] = []
        self._rows: list[list[str]] = []
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                header = [name.strip() for name in next(reader, [])]
                for row in reader:
                    if row:
                        self._add(reader.line_num, row, len(header))
        except OSError as error:
            raise ScenarioError(f"{path}: {error.strerror}; a scenario is a folder of {', '.join(FILES)}") from None
        except UnicodeDecodeError as error:
            raise ScenarioError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
        except csv.Error as error:
            raise ScenarioError(f"{path}: row {reader.line_num + 1} is not CSV ({error})") from None
        missing = [name for name in required if name not in header]
        if missing:
            found = ", ".join(header) or "nothing"
            raise ScenarioError(
                f"{path}: row 1: the header lacks {', '.join(missing)} (it has {found}); add the column, or change "
                "`metric` in scenario.toml: haversine takes lat and lng, euclidean x and y"
            )
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise ScenarioError(f"{path}: row 1: the column {twice} is there twice; remove one")
        self._column = {name: place for place, name in enumerate(header)}

    def _add(self, line: int, row: list[str], width: int) -> None:
        if len(row) != width:
            raise ScenarioError(
                f"{self._path}: row {line}: has {len(row)} values, the header {width}; quote values that hold commas"
            )
        if len(self._rows) >= ROWS_MAX:
            raise ScenarioError(f"{self._path}: row {line}: more than {ROWS_MAX:,} rows; split the scenario")
        self._lines.append(line)
        self._rows.append([value.strip() for value in row])

    def text(self, name: str) -> list[str]:
        """Return a column's values."""
        place = self._column[name]
        return [row[place] for row in self._rows]

    def error(self, index: int, name: str, problem: str) -> ScenarioError:
        """Return the error of one value."""
        value = self._rows[index][self._column[name]]
        return ScenarioError(f"{self._path}: row {self._lines[index]}, column {name}: {value!r} {problem}")

    def refuse(self, name: str, wrong: np.ndarray[Any, np.dtype[np.bool_]], problem: str) -> None:
        """Raise the error of the first wrong value, if there is one."""
        if name in self._column and wrong.any():
            raise self.error(int(np.argmax(wrong)), name, problem)

    def ids(self, name: str) -> tuple[str, ...]:
        """Return identifiers, each once."""
        values, seen = self.text(name), dict[str, int]()
        for index, value in enumerate(values):
            if not value:
                raise self.error(index, name, "is empty; every row needs an identifier")
            if value in seen:
                raise self.error(index, name, f"is in row {self._lines[seen[value]]} already; identifiers are unique")
            seen[value] = index
        return tuple(values)

    def references(self, name: str, ids: Sequence[str], file: str) -> Ints:
        """Return the place in `ids` of each value."""
        place = {value: index for index, value in enumerate(ids)}
        values = self.text(name)
        for index, value in enumerate(values):
            if value not in place:
                raise self.error(index, name, f"is not in {file}; add it there")
        return np.array([place[value] for value in values], dtype=np.int64)

    def floats(self, name: str, least: float, most: float, missing: float | None = None) -> Floats:
        """Return finite numbers; `missing` stands for an empty value, or for the whole column."""
        if name not in self._column and missing is not None:
            return np.full(len(self._rows), missing)
        return np.array(self._numbers(name, float, least, most, missing), dtype=np.float64)

    def counts(self, name: str, missing: int) -> Ints:
        """Return whole numbers from 0."""
        if name not in self._column:
            return np.full(len(self._rows), missing, dtype=np.int64)
        return np.array(self._numbers(name, _whole, 0, NO_LIMIT, missing), dtype=np.int64)

    def _numbers(
        self, name: str, number: Callable[[str], float], least: float, most: float, missing: float | None
    ) -> list[float]:
        values: list[float] = []
        kind = "whole number" if number is _whole else "number"
        for index, text in enumerate(self.text(name)):
            if not text and missing is not None:
                values.append(missing)
                continue
            try:
                value = number(text)
            except ValueError:
                raise self.error(index, name, f"is not a {kind}; write digits, with a point for decimals") from None
            if not math.isfinite(value) or not least <= value <= most:
                raise self.error(index, name, f"is not between {least:g} and {most:g}")
            values.append(value)
        return values

    def minutes(self, name: str) -> Floats:
        """Return minutes of the day, or of several days."""
        return self.floats(name, -MINUTES_MAX, MINUTES_MAX)

    def places(self, axes: tuple[str, str]) -> Floats:
        """Return (rows, 2) places."""
        limits = (90.0, 180.0) if axes == ("lat", "lng") else (1e9, 1e9)
        columns = [self.floats(axis, -limit, limit) for axis, limit in zip(axes, limits, strict=True)]
        return np.column_stack(columns).reshape(-1, 2)


def _whole(text: str) -> float:
    value = float(text)
    if math.isfinite(value) and value != int(value):
        raise ValueError(text)
    return int(value) if math.isfinite(value) else value


def _settings(path: Path) -> Settings:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}; a scenario is a folder of {', '.join(FILES)}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: is not TOML ({error})") from None
    values: dict[str, Any] = {}
    for name, kind in Settings.__annotations__.items():
        if name not in found:
            raise ScenarioError(f"{path}: {name} is missing; add a line `{name} = ...`")
        values[name] = _setting(path, name, kind, found[name])
    if values["service_max_min"] < values["service_target_min"]:
        raise ScenarioError(f"{path}: service_max_min: {values['service_max_min']} is below service_target_min")
    return Settings(**values)


def _setting(path: Path, name: str, kind: object, value: object) -> object:
    problem = ""
    if kind is str and value not in METRICS:
        problem = f"is none of {', '.join(METRICS)}"
    elif kind is bool and not isinstance(value, bool):
        problem = "is neither true nor false"
    elif kind is int and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        problem = "is not a whole number of minor units from 0"
    elif kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            problem = "is not a number"
        elif value < 0 or (name == "speed_m_per_min" and value == 0):
            problem = "must be above 0" if name == "speed_m_per_min" else "must not be below 0"
        else:
            return float(value)
    if problem:
        raise ScenarioError(f"{path}: {name}: {value!r} {problem}")
    return value
