"""Packages that travel well together, bundled before matching: one unit that one partner takes as a whole.

Packages of one merchant that wait at one place are put together by parallel insertion (Reyes et al. 2018, "The Meal
Delivery Routing Problem"): in the order of their due times, each goes where it makes a bundle's tour the least longer,
as long as every parcel of the bundle keeps within its limits; otherwise it begins a bundle of its own. Each step looks
at every place in every bundle of the group at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import cKDTree

from services.assignment.matching.geography import Floats, Ints, embedded_m, straight_m
from services.assignment.matching.groups import within
from services.assignment.matching.problem import Bools, Packages, Problem


@dataclass(frozen=True)
class BundleLimits:
    """What may go together.

    pickup_m_max: pickups this close are one visit. parcels_max: of a bundle. detour_share: a package joins where it
    makes the tour longer by at most this share of its own way. ride_factor, ride_spare_s: no parcel rides longer than
    so much more than its own way takes. wait_s_max: no parcel waits longer for the others to be ready. approach_s: how
    long a partner takes to come; a parcel that would then be in time alone is in time in its bundle.
    """

    pickup_m_max: float = 50.0
    parcels_max: int = 4
    detour_share: float = 0.6
    ride_factor: float = 1.5
    ride_spare_s: float = 300.0
    wait_s_max: float = 600.0
    approach_s: float = 600.0


@dataclass(frozen=True)
class Bundled:
    """packages: the units, each a package or a bundle. members: of each unit, in the order of their drops."""

    packages: Packages
    members: Sequence[Ints]


def bundled(problem: Problem, limits: BundleLimits) -> Bundled:
    """Bundle a problem's packages. A unit has room with half of the partners or more, and with a vehicle at hand."""
    groups = _groups(problem, limits)
    members: list[Ints] = []
    for group in groups:
        # What is a bundle already stays what it is.
        single = problem.packages.parcels[group] == 1
        members += [np.array([row]) for row in group[~single]]
        free = group[single]
        members += _Group(problem, limits, free).bundles() if len(free) > 1 else [free] * len(free)
    # In the order of their first packages, so that a problem without bundles stays as it is.
    members.sort(key=lambda unit: int(unit.min()))
    return Bundled(_units(problem, members), members)


def ride_s(problem: Problem, metres: Floats) -> Floats:
    """Return how long a way takes at worst: with the slowest vehicle at hand, at its slowest hour."""
    slowest = problem.travel.speed_m_per_s[np.unique(problem.partners.vehicle)].min(initial=np.inf)
    step = problem.travel.round_up_s
    result: Floats = metres / slowest + np.where(metres > 0, step, 0.0)
    return result


def _groups(problem: Problem, limits: BundleLimits) -> list[Ints]:
    """Return the packages by merchant and place of pickup."""
    packages = problem.packages
    places, index = np.unique(packages.pickup, axis=0, return_inverse=True)
    leader = np.arange(len(places))
    if len(places) > 1:
        near_m = float(straight_m(problem.travel.metric, np.array(limits.pickup_m_max)))
        pairs = cKDTree(embedded_m(problem.travel.metric, places)).query_pairs(near_m, output_type="ndarray")
        for one, other in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]:
            # Only to one that leads itself: no chains of neighbours.
            if leader[one] == one and leader[other] == other:
                leader[other] = one
    key = np.column_stack([leader[index.reshape(-1)], packages.merchant])
    _, group = np.unique(key, axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    bounds = np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1
    return [rows for rows in np.split(order, bounds) if len(rows)]


class _Group:
    """Packages that wait at one place, and the bundles that come of them: rows of `seat`, -1 where one is free."""

    def __init__(self, problem: Problem, limits: BundleLimits, group: Ints) -> None:
        self.problem, self.limits, packages = problem, limits, problem.packages
        # Those due first begin.
        self.group = group[np.lexsort((group, packages.ready_at_s[group], packages.due_at_s[group]))]
        self.own_m = problem.ride_m
        self.seat = np.full((0, limits.parcels_max), -1, dtype=np.int64)
        self.length_m = np.zeros(0)
        able = problem.partners.units_max > 0
        self.room = {
            column: np.median(getattr(problem.partners, left)[able]) if able.any() else 0.0 for column, left in _ROOM
        }
        self.at_hand = np.bitwise_or.reduce(1 << np.unique(problem.partners.vehicle[able]), initial=0)

    def bundles(self) -> list[Ints]:
        for package in self.group:
            tours = self._tours(int(package))
            added_m, fits = self._judged(tours, int(package))
            added_m = np.where(fits & (added_m <= self.limits.detour_share * self.own_m[package]), added_m, np.inf)
            if added_m.size and np.isfinite(added_m.min()):
                row, place = np.unravel_index(int(np.argmin(added_m)), added_m.shape)
                self.length_m[row] += added_m[row, place]
                self.seat[row] = tours[row, place]
            else:
                alone = np.full(self.limits.parcels_max, -1)
                alone[0] = package
                self.seat = np.vstack([self.seat, alone])
                self.length_m = np.append(self.length_m, self.own_m[package])
        return [row[row >= 0] for row in self.seat]

    def _tours(self, package: int) -> Ints:
        """Return (k, s, s): each bundle's drops with the package at each place; what does not fit in is cut off."""
        seats = self.seat.shape[1]
        place, position = np.arange(seats)[:, None], np.arange(seats)[None, :]
        behind = position > place
        tours = self.seat[:, np.clip(position - behind, 0, seats - 1)]
        result: Ints = np.where(position == place, package, tours)
        return result

    def _judged(self, tours: Ints, package: int) -> tuple[Floats, Bools]:
        """Return (k, s): metres that each tour is longer, and whether all of its parcels keep within their limits."""
        packages, limits = self.problem.packages, self.limits
        size = (self.seat >= 0).sum(axis=1)
        # Not behind a free seat, and not in a full bundle.
        fits = (np.arange(tours.shape[1]) <= size[:, None]) & (size < limits.parcels_max)[:, None]
        taken = tours >= 0
        legs_m = self._legs_m(tours, taken)
        added_m = legs_m.sum(axis=2) - self.length_m[:, None]

        def each(column: Floats | Ints, free: float) -> Floats:
            return np.where(taken, column[tours], free).astype(float)

        for column, _ in _ROOM:
            fits &= each(getattr(packages, column), 0).sum(axis=2) <= self.room[column]
        masks = np.bitwise_and.reduce(np.where(taken, packages.vehicle_mask[tours], -1), axis=2)
        fits &= (masks & self.at_hand) != 0
        ready = each(packages.ready_at_s, -np.inf)
        latest = ready.max(axis=2, initial=-np.inf)[:, :, None]
        fits &= (~taken | (latest - np.maximum(ready, self.problem.now_s) <= limits.wait_s_max)).all(axis=2)
        ride = handover_s(ride_s(self.problem, legs_m), each(packages.drop_service_s, 0))
        own = ride_s(self.problem, each(self.own_m, 0)) + each(packages.drop_service_s, 0) / 2
        fits &= (~taken | (ride <= limits.ride_factor * own + limits.ride_spare_s)).all(axis=2)
        comes = self.problem.now_s + limits.approach_s
        together = np.maximum(comes, latest) + ride
        alone = np.maximum(comes, ready) + own
        due = each(packages.due_at_s, np.inf)
        fits &= (~taken | (together <= np.maximum(due, alone))).all(axis=2)
        return added_m, fits

    def _legs_m(self, tours: Ints, taken: Bools) -> Floats:
        packages = self.problem.packages
        drops = packages.drop[tours]
        # A bundle is picked up where its first parcel waits; the others wait near by.
        before = np.concatenate([packages.pickup[tours[:, :, :1]], drops[:, :, :-1]], axis=2)
        return np.where(taken, self.problem.travel.distance_m(before, drops), 0.0)


# What a bundle takes of a partner, and where the partners' room stands.
_ROOM = (
    ("parcels", "parcels_left"),
    ("weight_g", "weight_g_left"),
    ("volume_cm3", "volume_cm3_left"),
    ("cash_on_delivery_paise", "cash_paise_left"),
)


_OWN = ("ids", "declined")


def handover_s(leg_s: Floats, service_s: Floats) -> Floats:
    """Return (..., k): when the parcels of a tour change hands, from its start; (..., k) its legs and dwells."""
    result: Floats = np.cumsum(leg_s, axis=-1) + np.cumsum(service_s, axis=-1) - service_s / 2
    return result


def _units(problem: Problem, members: Sequence[Ints]) -> Packages:
    """Return one row for each unit."""
    packages = problem.packages
    if all(len(unit) == 1 for unit in members):
        return packages
    sizes = np.array([len(unit) for unit in members])
    flat, starts = np.concatenate(members), np.concatenate([[0], np.cumsum(sizes)[:-1]])
    first, last = flat[starts], flat[starts + sizes - 1]
    columns = {field.name: getattr(packages, field.name)[first] for field in fields(packages) if field.name not in _OWN}
    for name in ("parcels", "weight_g", "volume_cm3", "declared_value_paise", "cash_on_delivery_paise"):
        columns[name] = np.add.reduceat(getattr(packages, name)[flat], starts)
    for name in ("side_mm", "ready_at_s", "pickup_service_s"):
        columns[name] = np.maximum.reduceat(getattr(packages, name)[flat], starts)
    columns["left_out_cost_s"] = np.add.reduceat(packages.left_out_cost_s[flat], starts)
    columns["placed_at_s"] = np.minimum.reduceat(packages.placed_at_s[flat], starts)
    columns["vehicle_mask"] = np.bitwise_and.reduceat(packages.vehicle_mask[flat], starts)
    columns["exit"] = packages.exit[last]
    place = within(sizes)
    leg_m = np.append(0.0, problem.travel.distance_m(packages.exit[flat[:-1]], packages.drop[flat[1:]]))
    leg_m[starts] = 0.0
    columns["chain_m"] = np.add.reduceat(leg_m + packages.chain_m[flat], starts)
    service_s = packages.drop_service_s[flat]
    behind_s = np.where(place > 0, service_s, 0.0) + packages.chain_service_s[flat]
    columns["chain_service_s"] = np.add.reduceat(behind_s, starts)
    # What comes before a hand-over, from the first one on.
    since_s = np.cumsum(ride_s(problem, leg_m)) + np.cumsum(service_s) - service_s / 2
    since_s -= np.repeat(since_s[starts], sizes)
    columns["due_at_s"] = np.minimum.reduceat(packages.due_at_s[flat] - since_s, starts)
    unit_of = np.empty(len(packages), dtype=np.int64)
    unit_of[flat] = np.repeat(np.arange(len(members)), sizes)
    declined = np.column_stack([unit_of[packages.declined[:, 0]], packages.declined[:, 1]])
    columns["declined"] = np.unique(declined, axis=0) if len(declined) else declined
    return Packages(ids=[packages.ids[row] for row in first], **columns)
