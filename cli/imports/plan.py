"""What an import brings, in the API's terms: a city, a merchant, partners, deliveries, and rows that are refused."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

Json = dict[str, Any]

CODE_CHARS_MAX = 16
VEHICLE_CAPACITIES: dict[str, Json] = {
    "VEHICLE_ON_FOOT": {"parcelsMax": 2, "weightGMax": "8000", "volumeCm3Max": "40000", "sideMmMax": 500},
    "VEHICLE_BICYCLE": {"parcelsMax": 3, "weightGMax": "15000", "volumeCm3Max": "60000", "sideMmMax": 600},
    "VEHICLE_MOTORCYCLE": {"parcelsMax": 4, "weightGMax": "30000", "volumeCm3Max": "100000", "sideMmMax": 700},
    "VEHICLE_CAR": {"parcelsMax": 8, "weightGMax": "200000", "volumeCm3Max": "600000", "sideMmMax": 1500},
    "VEHICLE_THREE_WHEELER": {"parcelsMax": 200, "weightGMax": "400000", "volumeCm3Max": "2500000", "sideMmMax": 1500},
}


class ImportFileError(Exception):
    """A file cannot be imported at all: the text names it, what is wrong with it, and what is expected."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from."""

    file: str
    row: int
    id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not taken: the stable reason, and what is wrong with it in words."""

    origin: Origin
    reason: str
    problem: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the body of its request."""

    origin: Origin
    request: Json = field(repr=False)


class Source(Protocol):
    """One set of data."""

    merchant: Json
    partner_rows: int
    delivery_rows: int

    def city(self) -> Json:
        """Return the city to create when it is not there."""

    def partners(self) -> Iterator[Row | Refusal]:
        """Yield every partner."""

    def deliveries(self) -> Iterator[Row | Refusal]:
        """Yield every delivery; `details` lacks the merchant, which the import knows."""


class RowError(ValueError):
    """A value of a row is no value of its kind."""


def slug(text: str) -> str:
    """Return a name's letters and digits with dashes between them."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def city_code(prefix: str, path: Path) -> str:
    """Return a city code for a file or folder."""
    return f"{prefix}-{slug(path.stem).upper()}"[:CODE_CHARS_MAX].rstrip("-")


def location(lat: float, lng: float) -> Json:
    """Return a place."""
    return {"latitudeDeg": lat, "longitudeDeg": lng}


def window(start: datetime, end: datetime) -> Json:
    """Return a span of time."""
    return {"start": start.isoformat(), "end": end.isoformat()}


def moment(day: date, clock: time, zone: ZoneInfo, *, not_before: datetime | None = None) -> datetime:
    """Return a time of day on a date, or on the day after when it would lie before `not_before`."""
    at = datetime.combine(day, clock, zone)
    return at + timedelta(days=1) if not_before is not None and at < not_before else at


def policy(**changes: int) -> Json:
    """Return the matching policy of an imported city: a day that is known in advance is matched at once."""
    return {
        "windowMs": 500,
        "windowDeliveriesMax": 1_000,
        "pickupDistanceMMax": 10_000,
        "offerTtlS": 60,
        "dispatchHorizonS": 604_800,
        "zonePenaltyS": 300,
    } | changes
