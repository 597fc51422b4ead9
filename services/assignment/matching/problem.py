"""A matching problem as arrays: one column per attribute, validated once, never a list of objects.

Times are seconds since 1970, places rows of (latitude, longitude) or (x, y). Sides of parcels are sorted, so
orientation does not matter. Money is integer paise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from services.assignment.matching.columns import (
    ProblemError,
    check_columns,
    check_degrees,
    check_ids,
    check_laid_out,
    check_most,
    check_pairs,
    derived,
    filled,
)
from services.assignment.matching.geography import Floats, Ints, Metric, cells, embedded_m
from services.assignment.matching.memo import FLOORS, Memo
from services.assignment.matching.routes import Routes
from services.assignment.matching.schedule import Schedule, scheduled
from services.assignment.matching.travel import VEHICLES, Travel

Bools = npt.NDArray[np.bool_]

ANY_VEHICLE = (1 << len(VEHICLES)) - 1
NO_DUE_S = np.inf
RATING_MAX = 5.0
# What a partner without a rating counts as: enough for valuable parcels, behind those who have earned more.
UNRATED = 4.0
UNLIMITED = np.iinfo(np.int64).max // 4
_NO_PAIRS = np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class RuleConfig:
    """How a city uses a rule: whether at all, what a second of it weighs, and the rule's own parameters.

    What is None or not named is the rule's own default.
    """

    enabled: bool = True
    weight: float | None = None
    parameters: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.weight is not None and not (np.isfinite(self.weight) and self.weight >= 0):
            raise ProblemError("weight", None, f"must be finite and not negative, is {self.weight}")


@dataclass(frozen=True)
class Policy:
    """What a match may look like, how its rules weigh, and how large it may be."""

    pickup_distance_m_max: float = 8_000.0
    rules: Mapping[str, RuleConfig] = field(default_factory=lambda: MappingProxyType({}))
    packages_max: int = 250_000
    partners_max: int = 2_000_000
    route_stops_max: int = 60

    def __post_init__(self) -> None:
        for name in ("pickup_distance_m_max", "packages_max", "partners_max", "route_stops_max"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0:
                raise ProblemError(name, None, f"must be finite and not negative, is {value}")


@dataclass(frozen=True)
class Packages:
    """n packages; make them with `of`. A row is one parcel, or a bundle that one partner takes as a whole.

    A bundle is picked up in one visit and dropped in a fixed order: first at `drop`, last at `exit`, `chain_m` metres
    and `chain_service_s` seconds of dwell later. `parcels` says how many it is; its other columns are of all together,
    and due_at_s is such that each parcel's own is met.

    left_out_cost_s: (n,) what leaving it for a later window costs; +inf where as many as possible shall be matched.
    declined: (k, 2) package index, partner index of pairs that must not be matched.
    """

    ids: Sequence[str]
    pickup: Floats
    drop: Floats
    exit: Floats
    chain_m: Floats
    chain_service_s: Floats
    pickup_service_s: Floats
    drop_service_s: Floats
    parcels: Ints
    weight_g: Ints
    volume_cm3: Ints
    side_mm: Ints
    placed_at_s: Floats
    ready_at_s: Floats
    due_at_s: Floats
    vehicle_mask: Ints
    declared_value_paise: Ints
    cash_on_delivery_paise: Ints
    merchant: Ints
    left_out_cost_s: Floats
    declined: Ints

    @classmethod
    def of(cls, ids: Sequence[str], pickup: Floats, drop: Floats, **columns: Any) -> "Packages":
        """Make packages from the columns that matter; the others get values that rule nothing out."""
        n = len(ids)
        neutral: dict[str, Callable[[], object]] = {
            "exit": lambda: drop,
            **dict.fromkeys(
                ("chain_m", "chain_service_s", "pickup_service_s", "drop_service_s", "ready_at_s"), lambda: np.zeros(n)
            ),
            "placed_at_s": lambda: columns.get("ready_at_s", np.zeros(n)),
            "parcels": lambda: np.ones(n, dtype=np.int64),
            **dict.fromkeys(
                ("weight_g", "volume_cm3", "side_mm", "declared_value_paise", "cash_on_delivery_paise", "merchant"),
                lambda: np.zeros(n, dtype=np.int64),
            ),
            **dict.fromkeys(("due_at_s", "left_out_cost_s"), lambda: np.full(n, np.inf)),
            "vehicle_mask": lambda: np.full(n, ANY_VEHICLE),
            "declined": lambda: _NO_PAIRS,
        }
        return cls(ids=ids, pickup=pickup, drop=drop, **filled(neutral, columns))

    def __post_init__(self) -> None:
        check_ids(self.ids)
        infinite = ("due_at_s", "left_out_cost_s")
        check_columns(self, len(self.ids), PACKAGE_PLACES, ("ids", "declared", "declined"), infinite)
        if self.parcels.min(initial=1) < 1:
            raise ProblemError("parcels", int(np.argmin(self.parcels)), "must be at least 1")
        check_pairs(self.declined, "declined", len(self.ids), None)

    def __len__(self) -> int:
        return len(self.ids)

    def taken(self, rows: Ints) -> "Packages":
        """Return some of the packages, by their indices, in this order."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in ("ids", "declined")}
        at = np.full(len(self), -1)
        at[rows] = np.arange(len(rows))
        declined = np.column_stack([at[self.declined[:, 0]], self.declined[:, 1]])
        return Packages(ids=[self.ids[row] for row in rows], declined=declined[declined[:, 0] >= 0], **columns)


@dataclass(frozen=True)
class Partners:
    """m partners with what is left of their capacity; make them with `of`.

    Partner j's shift slots are rows slot_offsets[j]:slot_offsets[j+1]; one without slots is always on shift. Its zones
    are laid out likewise; one without zones prefers no place. free_at_s: (m,) from when it can leave `place`; routes
    start there. units_max: (m,) how many packages or bundles it may get in this match. rating: (m,) 0 to 5.
    network_health: (m,) 0 for a partner whose network is down, 1 for one whose network is well.
    merchants_denied: (k, 2) partner index, merchant of pairs that must not meet. merchants_choosing: (k,) merchants
    served by no others than the partners that stand beside them in merchants_allowed, (k, 2) of the same form.
    """

    ids: Sequence[str]
    place: Floats
    free_at_s: Floats
    vehicle: Ints
    parcels_left: Ints
    weight_g_left: Ints
    volume_cm3_left: Ints
    side_mm_max: Ints
    units_max: Ints
    rating: Floats
    cash_paise_left: Ints
    earned_paise_per_h: Ints
    network_health: Floats
    slot_offsets: Ints
    slot_start_s: Floats
    slot_end_s: Floats
    zone_offsets: Ints
    zone_cell: Ints
    zone_precision: Ints
    merchants_denied: Ints
    merchants_allowed: Ints
    merchants_choosing: Ints
    routes: Routes

    @classmethod
    def of(cls, ids: Sequence[str], place: Floats, **columns: Any) -> "Partners":
        """Make partners from the columns that matter; the others get values that rule nothing out."""
        m = len(ids)
        unlimited = ("weight_g_left", "volume_cm3_left", "side_mm_max", "cash_paise_left")
        neutral: dict[str, Callable[[], object]] = {
            "free_at_s": lambda: np.zeros(m),
            "vehicle": lambda: np.full(m, VEHICLES.index("motorcycle")),
            "parcels_left": lambda: np.ones(m, dtype=np.int64),
            **dict.fromkeys(unlimited, lambda: np.full(m, UNLIMITED)),
            "units_max": lambda: columns.get("parcels_left", np.ones(m, dtype=np.int64)),
            "rating": lambda: np.full(m, RATING_MAX),
            "earned_paise_per_h": lambda: np.zeros(m, dtype=np.int64),
            "network_health": lambda: np.ones(m),
            **dict.fromkeys(("slot_offsets", "zone_offsets"), lambda: np.zeros(m + 1, dtype=np.int64)),
            **dict.fromkeys(("slot_start_s", "slot_end_s"), lambda: np.zeros(0)),
            **dict.fromkeys(("zone_cell", "zone_precision"), lambda: np.zeros(0, dtype=np.int64)),
            **dict.fromkeys(("merchants_denied", "merchants_allowed"), lambda: _NO_PAIRS),
            "merchants_choosing": lambda: np.unique(columns.get("merchants_allowed", _NO_PAIRS)[:, 1]),
            "routes": lambda: Routes.none(m),
        }
        return cls(ids=ids, place=place, **filled(neutral, columns))

    def __post_init__(self) -> None:
        m = len(self.ids)
        check_ids(self.ids)
        laid_out = ("slot_offsets", "slot_start_s", "slot_end_s", "zone_offsets", "zone_cell", "zone_precision")
        pairs = ("merchants_denied", "merchants_allowed")
        check_columns(self, m, PARTNER_PLACES, ("ids", "routes", "merchants_choosing", *laid_out, *pairs), ())
        if m and (self.vehicle.min() < 0 or self.vehicle.max() >= len(VEHICLES)):
            raise ProblemError("vehicle", None, f"must index {VEHICLES}")
        slots, zones = ("slot_start_s", "slot_end_s"), ("zone_cell", "zone_precision")
        check_laid_out("slot_offsets", self.slot_offsets, {name: getattr(self, name) for name in slots}, m, slots)
        check_laid_out("zone_offsets", self.zone_offsets, {name: getattr(self, name) for name in zones}, m, ())
        stops = {f"routes.{f.name}": getattr(self.routes, f.name) for f in fields(Routes) if f.name != "offsets"}
        check_laid_out("routes", self.routes.offsets, stops, m, ("routes.ready_at_s", "routes.due_at_s"))
        for name in pairs:
            check_pairs(getattr(self, name), name, m, None)

    def __len__(self) -> int:
        return len(self.ids)


PACKAGE_PLACES = ("pickup", "drop", "exit")
PARTNER_PLACES = ("place",)


@dataclass(frozen=True)
class Problem(Memo):
    """What is matched, at the moment `now_s`, and how."""

    packages: Packages
    partners: Partners
    policy: Policy
    travel: Travel
    now_s: float

    def __post_init__(self) -> None:
        n, m = len(self.packages), len(self.partners)
        for count, most, name in ((n, self.policy.packages_max, "packages"), (m, self.policy.partners_max, "partners")):
            if count > most:
                raise ProblemError(name, None, f"{count} are more than {most}, which can be matched at once")
        check_pairs(self.packages.declined, "declined", n, m)
        check_most(self.partners.routes.lengths, self.policy.route_stops_max, "routes", "stops")
        if len(self.travel.speed_m_per_s) < len(VEHICLES):
            raise ProblemError("travel", None, f"needs a speed for each of {VEHICLES}")
        if self.travel.metric is Metric.HAVERSINE:
            check_degrees(self.packages, PACKAGE_PLACES)
            check_degrees(self.partners, PARTNER_PLACES)

    def with_less_room(self, partners: Partners) -> "Problem":
        """Return the problem with the same partners, who have less room left; what does not depend on that is kept."""
        later = derived(self, partners=partners)
        later.remember(self, FLOORS)
        return later

    def room(self, column: str) -> Ints:
        """Return (m,): the most of parcels, weight_g or volume_cm3 that fits somewhere in each partner's route."""
        left: Ints = getattr(self.partners, f"{column}_left")
        return self.once(self, column, lambda: self.partners.routes.roomiest(left, column))

    @cached_property
    def fastest_m_per_s(self) -> Floats:
        """Return (vehicles,) speeds that no partner exceeds on the way to a pickup."""
        return self.travel.fastest_m_per_s(self.now_s, max(self.now_s, self.partners.free_at_s.max(initial=0.0)))

    @cached_property
    def embedded_places(self) -> Floats:
        """Return (m, d) coordinates of the partners' places, as `embedded_m` gives them."""
        return embedded_m(self.travel.metric, self.partners.place)

    @cached_property
    def ride_m(self) -> Floats:
        """Return (n,): metres from each pickup to the first drop."""
        return self.travel.distance_m(self.packages.pickup, self.packages.drop)

    @cached_property
    def schedule(self) -> Schedule:
        """Return when the partners are where on their routes."""
        partners, start_s = self.partners, np.maximum(self.now_s, self.partners.free_at_s)
        return scheduled(partners.routes, self.embedded_places, partners.vehicle, start_s, self.travel)

    @cached_property
    def embedded(self) -> tuple[Floats, Floats, Floats]:
        """Return (n, d) coordinates of the pickups, the drops and the exits, as `embedded_m` gives them."""
        pickup, drop, leave = (embedded_m(self.travel.metric, getattr(self.packages, name)) for name in PACKAGE_PLACES)
        return pickup, drop, leave

    @cached_property
    def pickup_cell(self) -> Ints:
        """Return (n,): each pickup's geohash cell."""
        return cells(self.packages.pickup[:, 0], self.packages.pickup[:, 1])
