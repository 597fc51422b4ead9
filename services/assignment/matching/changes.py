"""What could be different about a window: the kinds of change that a remedy may ask for, and what each looks like.

A change alters one package (or, for one kind, the city's limit for it) by a whole number of units. `candidates`
are the amounts at which a partner's column lets the package in: one of them is most often the smallest that helps.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.groups import within
from services.assignment.matching.problem import ANY_VEHICLE, Packages, Partners, Problem
from services.assignment.matching.travel import VEHICLES

DAY_S = 86_400
MINUTE_S = 60


class Kind(StrEnum):
    """What a remedy changes."""

    WEIGHT = "weight"
    VOLUME = "volume"
    LONGEST_SIDE = "longest_side"
    CASH_ON_DELIVERY = "cash_on_delivery"
    DECLARED_VALUE = "declared_value"
    WINDOW_END = "window_end"
    READY_LATER = "ready_later"
    READY_EARLIER = "ready_earlier"
    VEHICLES = "vehicles"
    PICKUP_DISTANCE = "pickup_distance"
    PARTNER_PLACE = "partner_place"
    PARTNER = "partner"


@dataclass(frozen=True)
class ColumnChange:
    """A change of one column of a package, up or down.

    least: what the column may not go below; most: what may be added. step: amounts are whole multiples of it. left,
    load: the partners' column that limits it, and the routes' column that loads it. rising: the more, the better for
    the package, so that a larger amount than one that helps helps too.
    """

    kind: Kind
    column: str
    unit: str
    sign: int
    least: int = 0
    most: int = 0
    step: int = 1
    left: str = ""
    load: str = ""
    rising: bool = True

    def altered(self, packages: Packages, rows: Ints, amounts: Ints) -> Packages:
        """Return the packages with the change made to some rows, each by its own amount."""
        column = getattr(packages, self.column).copy()
        column[rows] += (self.sign * amounts).astype(column.dtype)
        return replace(packages, **{self.column: column})

    def applied(self, problem: Problem, row: int, amount: int) -> Problem:
        """Return the problem with one package changed."""
        return replace(problem, packages=self.altered(problem.packages, np.array([row]), np.array([amount])))

    def most_of(self, problem: Problem, row: int) -> int:
        """Return the largest amount that makes sense, 0 where the change makes none."""
        value = getattr(problem.packages, self.column)[row]
        if not np.isfinite(value):
            return 0
        return self.most if self.sign > 0 else max(0, int(value) - self.least)

    def candidates(self, problem: Problem, row: int) -> tuple[Ints, Ints]:
        """Return (k,) amounts at which partners may become possible, and (k,) whom each of them is for."""
        partners, value = problem.partners, getattr(problem.packages, self.column)[row]
        if self.left:
            room = getattr(partners, self.left)
            room = partners.routes.roomiest(room, self.load) if self.load else room
            return value - room, np.arange(len(partners))
        owner = np.repeat(np.arange(len(partners)), np.diff(partners.slot_offsets))
        if self.kind is Kind.READY_LATER:
            return np.ceil(partners.slot_start_s - value).astype(np.int64), owner
        if self.kind is Kind.READY_EARLIER:
            # A package that is ready before now is as one that is ready now.
            ended = partners.slot_end_s > problem.now_s
            return (np.floor(value - partners.slot_end_s[ended]) + 1).astype(np.int64), owner[ended]
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


COLUMN_CHANGES = (
    ColumnChange(Kind.WEIGHT, "weight_g", "g", -1, least=1, left="weight_g_left", load="weight_g"),
    ColumnChange(Kind.VOLUME, "volume_cm3", "cm3", -1, least=1, left="volume_cm3_left", load="volume_cm3"),
    ColumnChange(Kind.LONGEST_SIDE, "side_mm", "mm", -1, least=1, left="side_mm_max"),
    ColumnChange(Kind.CASH_ON_DELIVERY, "cash_on_delivery_paise", "paise", -1, left="cash_paise_left"),
    ColumnChange(Kind.DECLARED_VALUE, "declared_value_paise", "paise", -1),
    ColumnChange(Kind.WINDOW_END, "due_at_s", "s", 1, most=DAY_S, step=MINUTE_S),
    ColumnChange(Kind.READY_LATER, "ready_at_s", "s", 1, most=DAY_S, rising=False),
    ColumnChange(Kind.READY_EARLIER, "ready_at_s", "s", -1, rising=False),
)


def with_vehicles(problem: Problem, row: int, mask: int) -> Problem:
    """Return the problem with more vehicles allowed for one package."""
    masks = problem.packages.vehicle_mask.copy()
    masks[row] |= mask
    return replace(problem, packages=replace(problem.packages, vehicle_mask=masks))


def more_vehicles(problem: Problem, row: int) -> list[int]:
    """Return the masks of what else could be allowed: each other vehicle by itself, then all of them."""
    allowed = int(problem.packages.vehicle_mask[row])
    others = [1 << bit for bit in range(len(VEHICLES)) if not allowed >> bit & 1]
    return [*others, ANY_VEHICLE & ~allowed] if len(others) > 1 else others


def with_reach(problem: Problem, row: int, limit_m: float) -> Problem:
    """Return the problem with another pickup distance limit for one package; the others keep theirs."""
    packages, partners, policy = problem.packages, problem.partners, problem.policy
    others = np.delete(np.arange(len(packages)), row)
    beyond = [np.zeros((0, 2), dtype=np.int64)]
    if limit_m > policy.pickup_distance_m_max:
        # A limit is of the whole problem: for the others, whoever lies between the limits is ruled out as declined.
        for package in others:
            far_m = problem.travel.distance_m(partners.place, packages.pickup[package])
            between = np.flatnonzero((far_m > policy.pickup_distance_m_max) & (far_m <= limit_m * 1.001 + 1))
            beyond.append(np.column_stack([np.full(len(between), package), between]))
    declined = np.concatenate([packages.declined, *beyond])
    return replace(
        problem,
        packages=replace(packages, declined=declined),
        policy=replace(policy, pickup_distance_m_max=limit_m),
    )


def with_place(problem: Problem, partner: int, parcels: int) -> Problem:
    """Return the problem with room for one more package, of so many parcels, with one partner."""
    partners = problem.partners
    one_more = (np.arange(len(partners)) == partner).astype(np.int64)
    wider = replace(
        partners,
        parcels_left=partners.parcels_left + one_more * parcels,
        units_max=partners.units_max + one_more,
    )
    return replace(problem, partners=wider)


def with_partners(problem: Problem, places: Floats, vehicle: int, row: int) -> Problem:
    """Return the problem with more partners, (k, 2) places, each with room for one such package and no other limits."""
    packages, before = problem.packages, problem.partners
    k, m = len(places), len(before)
    merchant = packages.merchant[row]
    allowed = np.zeros((0, 2), dtype=np.int64)
    if merchant in before.merchants_choosing:
        allowed = np.column_stack([np.arange(k), np.full(k, merchant)])
    prefix = "one more: "
    while any(name.startswith(prefix) for name in before.ids):
        prefix += "+"
    new = Partners.of(
        [f"{prefix}{place}" for place in range(k)],
        places,
        vehicle=np.full(k, vehicle),
        parcels_left=np.full(k, packages.parcels[row]),
        units_max=np.ones(k, dtype=np.int64),
        merchants_allowed=allowed,
    )
    return replace(problem, partners=_joined(before, new, m))


def _joined(one: Partners, other: Partners, shift: int) -> Partners:
    columns: dict[str, object] = {"ids": [*one.ids, *other.ids]}
    for name in Partners.__dataclass_fields__:
        first, second = getattr(one, name), getattr(other, name)
        if name == "ids":
            continue
        if name == "routes":
            columns[name] = type(first).of([first, second])
        elif name in {"slot_offsets", "zone_offsets"}:
            columns[name] = np.concatenate([first, first[-1] + second[1:]])
        elif name in {"merchants_denied", "merchants_allowed"}:
            columns[name] = np.concatenate([first, second + np.array([shift, 0])])
        else:
            columns[name] = np.concatenate([first, second])
    return Partners(**columns)  # type: ignore[arg-type]  # every column has its field's type


def copies(problem: Problem, row: int, count: int) -> Problem:
    """Return a problem with one package `count` times over, to price variants of it side by side."""
    packages = problem.packages
    columns = {
        name: np.repeat(getattr(packages, name)[row : row + 1], count, axis=0)
        for name in Packages.__dataclass_fields__
        if name not in {"ids", "declined"}
    }
    partners = packages.declined[packages.declined[:, 0] == row, 1]
    repeats = np.full(count, len(partners))
    declined = np.column_stack([np.repeat(np.arange(count), repeats), partners[within(repeats)]])
    made = Packages(ids=[str(place) for place in range(count)], declined=declined, **columns)
    return replace(problem, packages=made, policy=replace(problem.policy, packages_max=max(count, 1)))


def commonest_vehicle(problem: Problem, row: int) -> int:
    """Return the vehicle for one more partner: the commonest that a package may go by, of partners it fits if any."""
    packages, partners = problem.packages, problem.partners
    allowed = [bit for bit in range(len(VEHICLES)) if int(packages.vehicle_mask[row]) >> bit & 1]
    fits = packages.weight_g[row] <= partners.weight_g_left
    fits &= packages.volume_cm3[row] <= partners.volume_cm3_left
    fits &= packages.side_mm[row] <= partners.side_mm_max
    able, have = (np.bincount(partners.vehicle[rows], minlength=len(VEHICLES)) for rows in (fits, slice(None)))
    preferred = VEHICLES.index("motorcycle")
    return max(allowed, key=lambda bit: (able[bit], have[bit], bit == preferred, -bit))
