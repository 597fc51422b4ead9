"""Rows of the database as the columns of a matching problem."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import numpy as np

from services.assignment.matching.geography import Ints, zone_columns
from services.assignment.matching.problem import ANY_VEHICLE, Packages, Partners
from services.assignment.matching.travel import VEHICLES
from services.assignment.partners.positions import Position
from services.assignment.windows.standing import Column

_VEHICLE_INDEX = {name: index for index, name in enumerate(VEHICLES)}


def vehicle_mask(names: Sequence[str]) -> int:
    """Return the vehicles as bits; none means any."""
    return sum(1 << _VEHICLE_INDEX[name] for name in names) or ANY_VEHICLE


def partners_of(
    rows: Sequence[asyncpg.Record], positions: Mapping[UUID, Position], standing: Mapping[str, Column]
) -> Partners:
    """Return partners, each where it was last seen, or at home while that is unknown; `standing` has more columns."""
    seen = [positions.get(row["id"]) for row in rows]
    slot_offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row["shift_starts"]) for row in rows], out=slot_offsets[1:])
    zone_offsets, zone_cell, zone_precision = zone_columns([row["preferred_zones"] for row in rows])
    return Partners.of(
        [str(row["id"]) for row in rows],
        np.array(
            [
                (at.lat, at.lng) if at else (row["home_lat"], row["home_lng"])
                for at, row in zip(seen, rows, strict=True)
            ],
            dtype=float,
        ).reshape(-1, 2),
        vehicle=np.array([_VEHICLE_INDEX[row["vehicle"]] for row in rows], dtype=np.int64),
        parcels_left=_ints(rows, "parcels_left"),
        weight_g_left=_ints(rows, "weight_g_left"),
        volume_cm3_left=_ints(rows, "volume_cm3_left"),
        side_mm_max=_ints(rows, "side_mm_max"),
        slot_offsets=slot_offsets,
        slot_start_s=np.array([at.timestamp() for row in rows for at in row["shift_starts"]], dtype=float),
        slot_end_s=np.array([at.timestamp() for row in rows for at in row["shift_ends"]], dtype=float),
        zone_offsets=zone_offsets,
        zone_cell=zone_cell,
        zone_precision=zone_precision,
        **standing,
    )


def packages_of(
    rows: Sequence[asyncpg.Record],
    partners: Sequence[asyncpg.Record],
    declined: Sequence[asyncpg.Record],
    merchant_of: Mapping[UUID, int],
) -> Packages:
    """Return packages, with the pairs that were declined before."""
    row_of = {row["id"]: index for index, row in enumerate(rows)}
    column_of = {row["id"]: index for index, row in enumerate(partners)}
    pairs = [
        (row_of[pair["delivery_id"]], column_of[pair["partner_id"]])
        for pair in declined
        if pair["partner_id"] in column_of
    ]

    def floats(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], dtype=float)

    return Packages.of(
        [str(row["id"]) for row in rows],
        np.column_stack([floats("pickup_lat"), floats("pickup_lng")]),
        np.column_stack([floats("drop_lat"), floats("drop_lng")]),
        weight_g=_ints(rows, "weight_g"),
        volume_cm3=_ints(rows, "volume_cm3"),
        side_mm=_ints(rows, "side_mm"),
        placed_at_s=floats("placed_at_s"),
        ready_at_s=floats("ready_at_s"),
        due_at_s=floats("due_at_s"),
        declared_value_paise=_ints(rows, "declared_value_paise"),
        cash_on_delivery_paise=_ints(rows, "cash_on_delivery_paise"),
        merchant=np.array([merchant_of[row["merchant_id"]] for row in rows], dtype=np.int64),
        vehicle_mask=np.array([vehicle_mask(row["vehicles"]) for row in rows], dtype=np.int64),
        declined=np.array(pairs, dtype=np.int64).reshape(-1, 2),
    )


def _ints(rows: Sequence[asyncpg.Record], name: str) -> Ints:
    return np.array([row[name] for row in rows], dtype=np.int64)
