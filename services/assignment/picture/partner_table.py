"""A city's partners as columns, a row each, that change in place as events come. Pure.

A window takes the rows that it needs: nothing is built anew for a partner who has not changed. What varies in length
(shift slots, zones, visits of a route) is kept per row and laid out when a window takes it.
"""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import numpy as np

from services.assignment.matching.geography import Floats, Ints, zone_columns
from services.assignment.matching.problem import UNLIMITED, UNRATED
from services.assignment.matching.travel import VEHICLES
from services.assignment.partners.partner import Load, Partner
from services.assignment.routes.columns import NO_VISITS

_VEHICLE_INDEX = {name: index for index, name in enumerate(VEHICLES)}
_INTS = (
    "vehicle", "parcels_max", "weight_g_max", "volume_cm3_max", "side_mm_max", "cash_limit_paise", "online",
    "parcels_held", "weight_g_held", "volume_cm3_held", "cash_held_paise",
)  # fmt: skip
_FLOATS = ("home_lat", "home_lng", "rating")
_ROWS_FIRST = 256
_Slots = tuple[Floats, Floats]
_Zones = tuple[Ints, Ints]


class PartnerTable:
    """Columns by name, each longer than there are partners; `row_of` says whose row is where."""

    def __init__(self) -> None:
        self.row_of: dict[UUID, int] = {}
        self.partners: list[Partner | None] = []
        self.slots: list[_Slots] = []
        self.zones: list[_Zones] = []
        self.visits: list[Floats] = []
        self.texts: list[str] = []
        self._columns: dict[str, np.ndarray] = {
            **{name: np.zeros(_ROWS_FIRST, dtype=np.int64) for name in _INTS},
            **{name: np.zeros(_ROWS_FIRST) for name in _FLOATS},
        }
        self._free: list[int] = []
        self._order: Ints | None = None

    def __len__(self) -> int:
        return len(self.row_of)

    def __iter__(self) -> Iterator[Partner]:
        return (partner for partner in self.partners if partner is not None)

    def column(self, name: str) -> np.ndarray:
        """Return a column; only the rows of `row_of` mean anything."""
        return self._columns[name]

    def get(self, partner_id: UUID) -> Partner | None:
        """Return a partner without its load, which is in the columns."""
        row = self.row_of.get(partner_id)
        return None if row is None else self.partners[row]

    def load(self, partner_id: UUID) -> Load:
        """Return what a partner of the table holds."""
        row = self.row_of[partner_id]
        return Load(*(int(self._columns[f"{name}_held"][row]) for name in ("parcels", "weight_g", "volume_cm3")))

    def put(self, partner: Partner) -> None:
        """Take a partner in, or its new profile, availability and slots; what it holds is not changed."""
        row = self.row_of.get(partner.id)
        if row is None:
            row = self._new_row(partner.id)
        profile, capacity = partner.profile, partner.profile.capacity
        values = {
            "vehicle": _VEHICLE_INDEX[profile.vehicle],
            "parcels_max": capacity.parcels_max,
            "weight_g_max": capacity.weight_g_max,
            "volume_cm3_max": capacity.volume_cm3_max,
            "side_mm_max": capacity.side_mm_max,
            "cash_limit_paise": UNLIMITED if profile.cash_limit_paise is None else profile.cash_limit_paise,
            "online": partner.availability == "online",
            "home_lat": profile.home.lat,
            "home_lng": profile.home.lng,
            "rating": UNRATED if profile.rating is None else profile.rating,
        }
        for name, value in values.items():
            self._columns[name][row] = value
        self.partners[row] = replace(partner, load=Load())
        starts, ends = ([getattr(slot, end).timestamp() for slot in partner.shift_slots] for end in ("start", "end"))
        self.slots[row] = (np.array(starts, dtype=float), np.array(ends, dtype=float))
        self.zones[row] = zone_columns([profile.preferred_zones])[1:]

    def hold(self, partner_id: UUID, parcels: int, weight_g: int, volume_cm3: int, cash_paise: int) -> None:
        """Add to what a partner of the table holds; less than nothing gives back."""
        row = self.row_of[partner_id]
        for name, change in (
            ("parcels_held", parcels),
            ("weight_g_held", weight_g),
            ("volume_cm3_held", volume_cm3),
            ("cash_held_paise", cash_paise),
        ):
            self._columns[name][row] += change

    def drop(self, partner_id: UUID) -> None:
        """Forget a partner, if it is there."""
        row = self.row_of.pop(partner_id, None)
        if row is not None:
            self.partners[row] = None
            self._free.append(row)
            self._order = None

    def rows(self) -> Ints:
        """Return every partner's row, by their ids."""
        if self._order is None:
            self._order = np.array([self.row_of[identifier] for identifier in sorted(self.row_of)], dtype=np.int64)
        return self._order

    def _new_row(self, partner_id: UUID) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = len(self.partners)
            self.partners.append(None)
            self.slots.append((np.zeros(0), np.zeros(0)))
            self.zones.append((np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)))
            self.visits.append(NO_VISITS)
            self.texts.append("")
            if row >= len(self._columns["online"]):
                self._columns = {name: np.concatenate([old, np.zeros_like(old)]) for name, old in self._columns.items()}
        for column in self._columns.values():
            column[row] = 0
        self.visits[row] = NO_VISITS
        self.texts[row] = str(partner_id)
        self.row_of[partner_id] = row
        self._order = None
        return row
