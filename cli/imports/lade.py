"""Parcels of the LaDe data set (delivery_*.parquet): what couriers took along in the morning and brought to doors."""

import math
import statistics
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from cli.imports.plan import (
    VEHICLE_CAPACITIES,
    ImportFileError,
    Json,
    Origin,
    Refusal,
    Row,
    RowError,
    location,
    moment,
    policy,
    slug,
    window,
)  # fmt: skip

COLUMNS = ("order_id", "courier_id", "lng", "lat", "accept_time", "accept_gps_lng", "accept_gps_lat", "ds")
# Read and turned into requests this many at a time, whatever the size of the file.
BATCH_ROWS = 2_000
RADIUS_M = 60_000
# A parcel that a courier took along is due the same day.
DUE_AFTER = timedelta(hours=12)
VEHICLE = "VEHICLE_THREE_WHEELER"
# The data says nothing of sizes: a shoe box.
DIMENSIONS = {"lengthMm": 330, "widthMm": 200, "heightMm": 120}
WEIGHT_G = 1_500


class LadeFile:
    """One file. Its hours of the day are moved to `day` in the time zone `zone`."""

    def __init__(self, path: Path, day: date, zone: ZoneInfo, source_day: int | None = None) -> None:
        """`source_day` keeps one day of the file, as its column `ds` has it (925 is 25 September).

        Raises ImportFileError for a file that cannot be read as what it should be.
        """
        self._path, self._day, self._zone, self._source_day = path, day, zone, source_day
        area = slug(path.resolve().stem).lower().removeprefix("delivery-")
        self._code = f"LADE-{area.upper()}"[:16].rstrip("-")
        self._name = f"lade-{area}"
        self.merchant: Json = {"name": f"LaDe {area}", "reference": self._name}
        self.delivery_rows = 0
        self._homes: dict[int, tuple[float, float] | None] = {}
        lats: list[float] = []
        lngs: list[float] = []
        for row in self._rows():
            self.delivery_rows += 1
            at = _place(row["accept_gps_lat"], row["accept_gps_lng"])
            if row["courier_id"] is not None and self._homes.get(row["courier_id"]) is None:
                self._homes[row["courier_id"]] = at
            drop = _place(row["lat"], row["lng"])
            if drop is not None and len(lats) < BATCH_ROWS:
                lats.append(drop[0])
                lngs.append(drop[1])
        if not lats:
            of_day = "" if source_day is None else f" of day {source_day}"
            raise ImportFileError(f"{path}: no row{of_day} has a drop that can be read")
        self._center = (statistics.median(lats), statistics.median(lngs))
        self.partner_rows = len(self._homes)

    def city(self) -> Json:
        """Return the city."""
        return {
            "code": self._code,
            "name": self.merchant["name"],
            "timeZone": self._zone.key,
            "center": location(*self._center),
            "radiusM": RADIUS_M,
            "policy": policy(),
        }

    def partners(self) -> Iterator[Row | Refusal]:
        """Yield the couriers, at the first place where they took a parcel along."""
        for number, (courier_id, home) in enumerate(sorted(self._homes.items()), 1):
            profile = {
                "reference": f"{self._name}-courier-{courier_id}",
                "displayName": f"Courier {courier_id}",
                "cityCode": self._code,
                "vehicle": VEHICLE,
                "capacity": VEHICLE_CAPACITIES[VEHICLE],
                "home": location(*(home or self._center)),
                "acceptance": "ACCEPTANCE_AUTOMATIC",
            }
            request = {"profile": profile, "availability": "AVAILABILITY_ONLINE"}
            yield Row(Origin(f"{self._path.name} couriers", number, str(courier_id)), request)

    def deliveries(self) -> Iterator[Row | Refusal]:
        """Yield the parcels."""
        for row in self._rows():
            origin = Origin(self._path.name, row["row"], str(row["order_id"]))
            try:
                yield Row(origin, self._delivery(row))
            except RowError as error:
                yield Refusal(origin, "UNREADABLE", str(error))

    def _delivery(self, row: Json) -> Json:
        if row["order_id"] is None:
            raise RowError("order_id: is missing")
        pickup = _place(row["accept_gps_lat"], row["accept_gps_lng"])
        if pickup is None:
            raise RowError("accept_gps_lat, accept_gps_lng: the parcel has no place where it was taken along")
        drop = _place(row["lat"], row["lng"])
        if drop is None:
            raise RowError(f"lat, lng: {row['lat']}, {row['lng']} is no place")
        accepted = self._moved(row["accept_time"])
        return {
            "details": {
                "merchantReference": f"{self._name}-{row['order_id']}",
                "cityCode": self._code,
                "pickup": location(*pickup),
                "drop": location(*drop),
                "dimensions": DIMENSIONS,
                "weightG": WEIGHT_G,
                "readyAt": accepted.isoformat(),
                "dropWindow": window(accepted, accepted + DUE_AFTER),
            }
        }

    def _moved(self, text: object) -> datetime:
        try:
            # The year is not in the data; a leap year has every day there is.
            clock = datetime.strptime(f"2024-{text}", "%Y-%m-%d %H:%M:%S").time()  # noqa: DTZ007 - the day is replaced
        except ValueError:
            raise RowError(f"accept_time: {text!r} is not a time as MM-DD HH:MM:SS") from None
        return moment(self._day, clock, self._zone)

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            with pq.ParquetFile(self._path, memory_map=True) as file:
                missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
                if missing:
                    raise ImportFileError(f"{self._path}: lacks the columns {', '.join(missing)}")
                number = 0
                for batch in file.iter_batches(BATCH_ROWS, columns=list(COLUMNS), use_threads=False):
                    for row in _typed(batch.to_pylist(), self._path):
                        number += 1
                        if self._source_day is None or row["ds"] == self._source_day:
                            yield row | {"row": number}
        except OSError as error:
            said = error.strerror or str(error).splitlines()[0]
            raise ImportFileError(f"{self._path}: cannot be read ({said})") from None
        except pa.ArrowException as error:
            raise ImportFileError(f"{self._path}: is not a parquet file ({str(error).splitlines()[0]})") from None


def _typed(rows: Sequence[dict[str, Any]], path: Path) -> Sequence[dict[str, Any]]:
    """Return rows whose numbers are numbers; ImportFileError for a column of another type."""
    for name in ("lng", "lat", "accept_gps_lng", "accept_gps_lat", "courier_id", "ds"):
        for row in rows:
            if row[name] is not None and not isinstance(row[name], int | float):
                raise ImportFileError(f"{path}: the column {name} holds {type(row[name]).__name__}, not numbers")
    return rows


def _place(lat: float | None, lng: float | None) -> tuple[float, float] | None:
    if lat is None or lng is None or not (math.isfinite(lat) and math.isfinite(lng)):
        return None
    return (lat, lng) if abs(lat) <= 90 and abs(lng) <= 180 else None
