"""A day of on-demand delivery: orders.csv and couriers.csv, as Rappi and Grubhub-like data sets have them."""

import csv
import statistics
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cli.imports.plan import (
    VEHICLE_CAPACITIES,
    ImportFileError,
    Json,
    Origin,
    Refusal,
    Row,
    RowError,
    city_code,
    location,
    moment,
    policy,
    slug,
    window,
)  # fmt: skip

ORDERS, COURIERS = "orders.csv", "couriers.csv"
ORDER_COLUMNS = (
    "order_id", "pick_up_lat", "pick_up_lng", "drop_off_lat", "drop_off_lng", "placement_time", "ready_time",
    "expected_drop_off_time",
)  # fmt: skip
COURIER_COLUMNS = ("courier_id", "vehicle", "on_lat", "on_lng", "on_time", "off_time")
VEHICLES = {
    "walking": "VEHICLE_ON_FOOT",
    "bicycle": "VEHICLE_BICYCLE",
    "motorcycle": "VEHICLE_MOTORCYCLE",
    "car": "VEHICLE_CAR",
}
RADIUS_M = 40_000
# The data says nothing of sizes: a bag with a meal in it.
DIMENSIONS = {"lengthMm": 300, "widthMm": 200, "heightMm": 150}
WEIGHT_G = 1_000


class RappiDay:
    """One folder. Its hours of the day are moved to `day` in the time zone `zone`."""

    def __init__(self, folder: Path, day: date, zone: ZoneInfo) -> None:
        """Raises ImportFileError for files that cannot be read as what they should be."""
        self._folder, self._day, self._zone = folder, day, zone
        self._name = slug(folder.resolve().name).lower()
        self._code = city_code("RAPPI", folder.resolve())
        self.merchant: Json = {"name": f"Rappi {self._name}", "reference": f"rappi-{self._name}"}
        self.delivery_rows, lats, lngs = 0, [], []
        for _, row in _rows(folder / ORDERS, ORDER_COLUMNS):
            self.delivery_rows += 1
            try:
                lat, lng = _degrees(row, "pick_up_lat", 90), _degrees(row, "pick_up_lng", 180)
            except RowError:
                continue
            lats.append(lat)
            lngs.append(lng)
        if not lats:
            raise ImportFileError(f"{folder / ORDERS}: no row has a pickup that can be read")
        self.partner_rows = sum(1 for _ in _rows(folder / COURIERS, COURIER_COLUMNS))
        # The median is where the city is, however far off a few rows are.
        self._center = location(statistics.median(lats), statistics.median(lngs))

    def city(self) -> Json:
        """Return the city."""
        return {
            "code": self._code,
            "name": f"Rappi {self._name}",
            "timeZone": self._zone.key,
            "center": self._center,
            "radiusM": RADIUS_M,
            "policy": policy(),
        }

    def partners(self) -> Iterator[Row | Refusal]:
        """Yield the couriers, who have agreed to take what they are matched to, on their hours."""
        for number, row in _rows(self._folder / COURIERS, COURIER_COLUMNS):
            origin = Origin(COURIERS, number, _text(row, "courier_id"))
            try:
                yield Row(origin, self._partner(row))
            except RowError as error:
                yield Refusal(origin, "UNREADABLE", str(error))

    def deliveries(self) -> Iterator[Row | Refusal]:
        """Yield the orders."""
        for number, row in _rows(self._folder / ORDERS, ORDER_COLUMNS):
            origin = Origin(ORDERS, number, _text(row, "order_id"))
            try:
                yield Row(origin, self._delivery(row))
            except RowError as error:
                yield Refusal(origin, "UNREADABLE", str(error))

    def _partner(self, row: Json) -> Json:
        vehicle = VEHICLES.get(_text(row, "vehicle"))
        if vehicle is None:
            raise RowError(f"vehicle: {_text(row, 'vehicle')!r} is none of {', '.join(VEHICLES)}")
        courier_id = _identifier(row, "courier_id")
        start = moment(self._day, _clock(row, "on_time"), self._zone)
        end = moment(self._day, _clock(row, "off_time"), self._zone, not_before=start)
        return {
            "profile": {
                "reference": f"rappi-{self._name}-courier-{courier_id}",
                "displayName": f"Courier {courier_id}",
                "cityCode": self._code,
                "vehicle": vehicle,
                "capacity": VEHICLE_CAPACITIES[vehicle],
                "home": location(_degrees(row, "on_lat", 90), _degrees(row, "on_lng", 180)),
                "acceptance": "ACCEPTANCE_AUTOMATIC",
            },
            "availability": "AVAILABILITY_ONLINE",
            "shiftSlots": [window(start, end)],
        }

    def _delivery(self, row: Json) -> Json:
        placed = moment(self._day, _clock(row, "placement_time"), self._zone)
        ready = moment(self._day, _clock(row, "ready_time"), self._zone, not_before=placed)
        expected = moment(self._day, _clock(row, "expected_drop_off_time"), self._zone, not_before=placed)
        return {
            "details": {
                "merchantReference": f"rappi-{self._name}-{_identifier(row, 'order_id')}",
                "cityCode": self._code,
                "pickup": location(_degrees(row, "pick_up_lat", 90), _degrees(row, "pick_up_lng", 180)),
                "drop": location(_degrees(row, "drop_off_lat", 90), _degrees(row, "drop_off_lng", 180)),
                "dimensions": DIMENSIONS,
                "weightG": WEIGHT_G,
                "readyAt": ready.isoformat(),
                "dropWindow": window(placed, expected),
            }
        }


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row with its line; a row that has another number of values keeps its `None` key or values."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise ImportFileError(f"{path}: the header lacks {', '.join(missing)}")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise ImportFileError(f"{path}: {error.strerror}; a folder holds {ORDERS} and {COURIERS}") from None
    except UnicodeDecodeError as error:
        raise ImportFileError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except csv.Error as error:
        raise ImportFileError(f"{path}: line {reader.line_num + 1} is not CSV ({error})") from None


def _text(row: Json, name: str) -> str:
    return (row[name] or "").strip()


def _identifier(row: Json, name: str) -> str:
    if None in row:
        raise RowError(f"has {len(row[None])} values more than the header")  # type: ignore[index]  # csv's rest key
    value = _text(row, name)
    if not value:
        raise RowError(f"{name}: is missing")
    return value


def _degrees(row: Json, name: str, degrees_max: int) -> float:
    text = _text(row, name)
    try:
        value = float(text)
    except ValueError:
        raise RowError(f"{name}: {text!r} is not a number of degrees") from None
    if not abs(value) <= degrees_max:
        raise RowError(f"{name}: {text} is not between -{degrees_max} and {degrees_max}")
    return value


def _clock(row: Json, name: str) -> time:
    text = _text(row, name)
    try:
        return time.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise RowError(f"{name}: {text!r} is not a time of day as HH:MM:SS") from None
