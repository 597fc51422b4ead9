"""A matching problem as arrays: one column per attribute, validated once, never a list of objects.

Times are seconds since 1970, places WGS 84 degrees. Sides of parcels are sorted, so orientation does not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from services.assignment.matching.geography import ZONE_PRECISION_MAX, zone_cell

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

VEHICLES = ("on_foot", "bicycle", "motorcycle", "three_wheeler", "car", "van")
# Door to door in a city, stops and parking included.
SPEED_M_PER_S = np.array([1.3, 3.5, 6.0, 5.5, 5.5, 5.0])
ANY_VEHICLE = (1 << len(VEHICLES)) - 1
NO_DUE_S = np.inf


class ProblemError(ValueError):
    """A column breaks a rule: which field, which row (None for the whole column), and what is wrong."""

    def __init__(self, field: str, row: int | None, problem: str) -> None:
        self.field, self.row, self.problem = field, row, problem
        super().__init__(f"{field}{'' if row is None else f'[{row}]'}: {problem}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a match may look like and what its terms weigh."""

    pickup_distance_m_max: float = 8_000.0
    zone_penalty_s: float = 300.0
    # A second late weighs as much as this many seconds of travel.
    lateness_weight: float = 2.0
    pairs_max: int = 12_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value) or value < 0:
                raise ProblemError(field.name, None, f"must be finite and not negative, is {value}")


@dataclass(frozen=True, slots=True)
class Packages:
    """n packages. `declined` has shape (k, 2): package index, partner index of pairs that must not be matched."""

    ids: Sequence[str]
    pickup_lat: Floats
    pickup_lng: Floats
    drop_lat: Floats
    drop_lng: Floats
    weight_g: Ints
    volume_cm3: Ints
    side_mm: Ints
    ready_at_s: Floats
    due_at_s: Floats
    vehicle_mask: Ints
    declined: Ints

    def __post_init__(self) -> None:
        _check_ids(self.ids)
        _check_columns(self, len(self.ids), skip=("ids", "declined"), infinite=("due_at_s",))
        _check_places(self.pickup_lat, self.pickup_lng, "pickup")
        _check_places(self.drop_lat, self.drop_lng, "drop")
        if self.declined.ndim != 2 or self.declined.shape[1] != 2:
            raise ProblemError("declined", None, f"has shape {self.declined.shape}, must have (k, 2)")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Partners:
    """m partners with what is left of their capacity.

    Partner j's shift slots are rows slot_offsets[j]:slot_offsets[j+1]; one without slots is always on shift. Its zones
    are laid out likewise; one without zones prefers no place.
    """

    ids: Sequence[str]
    lat: Floats
    lng: Floats
    vehicle: Ints
    parcels_left: Ints
    weight_g_left: Ints
    volume_cm3_left: Ints
    side_mm_max: Ints
    slot_offsets: Ints
    slot_start_s: Floats
    slot_end_s: Floats
    zone_offsets: Ints
    zone_cell: Ints
    zone_precision: Ints

    def __post_init__(self) -> None:
        _check_ids(self.ids)
        laid_out = ("slot_offsets", "slot_start_s", "slot_end_s", "zone_offsets", "zone_cell", "zone_precision")
        _check_columns(self, len(self.ids), skip=("ids", *laid_out), infinite=())
        _check_places(self.lat, self.lng, "partners")
        if len(self.vehicle) and (self.vehicle.min() < 0 or self.vehicle.max() >= len(VEHICLES)):
            raise ProblemError("vehicle", None, f"must index {VEHICLES}")
        for offsets, column, name in (
            (self.slot_offsets, self.slot_start_s, "slot_offsets"),
            (self.zone_offsets, self.zone_cell, "zone_offsets"),
        ):
            if len(offsets) != len(self.ids) + 1 or offsets[-1] != len(column) or np.any(np.diff(offsets) < 0):
                raise ProblemError(name, None, "must rise from 0 to the length of what it lays out")

    def __len__(self) -> int:
        return len(self.ids)


def zone_columns(zones: Sequence[Sequence[str]]) -> tuple[Ints, Ints, Ints]:
    """Return (offsets, cells, precisions) of each partner's geohash prefixes."""
    offsets = np.zeros(len(zones) + 1, dtype=np.int64)
    np.cumsum([len(z) for z in zones], out=offsets[1:])
    flat = [prefix for z in zones for prefix in z]
    cells = np.array([zone_cell(prefix) for prefix in flat], dtype=np.int64)
    return offsets, cells, np.array([min(len(p), ZONE_PRECISION_MAX) for p in flat], dtype=np.int64)


def _check_ids(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for row, identifier in enumerate(ids):
        if identifier in seen:
            raise ProblemError("id", row, f"{identifier!r} stands twice")
        seen.add(identifier)


def _check_columns(table: object, rows: int, skip: tuple[str, ...], infinite: tuple[str, ...]) -> None:
    for field in fields(table):  # type: ignore[arg-type]  # both callers are dataclasses
        if field.name in skip:
            continue
        column = getattr(table, field.name)
        if column.shape != (rows,):
            raise ProblemError(field.name, None, f"has shape {column.shape}, must have ({rows},)")
        bad = np.isnan(column) if field.name in infinite else ~np.isfinite(column)
        if field.name not in ("pickup_lat", "pickup_lng", "drop_lat", "drop_lng", "lat", "lng"):
            bad |= column < 0
        if bad.any():
            row = int(np.argmax(bad))
            raise ProblemError(field.name, row, f"must be a finite number and not negative, is {column[row]}")


def _check_places(lat: Floats, lng: Floats, name: str) -> None:
    bad = (np.abs(lat) > 90) | (np.abs(lng) > 180)
    if bad.any():
        raise ProblemError(name, int(np.argmax(bad)), "is no place on earth")
