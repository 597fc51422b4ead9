"""Which pairs are possible, why the others are not, and what each costs, in seconds-equivalent.

Memory: one float64 and one int8 matrix of n by m, and a few temporaries of the same shape.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from services.assignment.matching.geography import cells, distance_m, shortened
from services.assignment.matching.problem import (
    SPEED_M_PER_S,
    Bools,
    Floats,
    Ints,
    Packages,
    Partners,
    Policy,
    ProblemError,
)

Matrix = npt.NDArray[np.float64]
Reasons = npt.NDArray[np.int8]


class Lost(IntEnum):
    """Why a pair is impossible: the first of these, in this order, that rules it out."""

    FEASIBLE = 0
    WRONG_VEHICLE = 1
    TOO_LONG = 2
    NO_PARCELS_LEFT = 3
    TOO_HEAVY = 4
    TOO_BULKY = 5
    OFF_SHIFT = 6
    DECLINED_BEFORE = 7
    TOO_FAR = 8


TERMS = ("pickup_travel", "lateness", "outside_zones")


@dataclass(frozen=True, slots=True)
class Costs:
    """cost_s (n, m), +inf where impossible; lost (n, m) of Lost; distance_m (n, m) from partner to pickup."""

    cost_s: Matrix
    lost: Reasons
    distance_m: Matrix


def build(packages: Packages, partners: Partners, policy: Policy, now_s: float) -> Costs:
    """Return the costs of every pair; ProblemError when there are more than policy.pairs_max."""
    pairs = len(packages) * len(partners)
    if pairs > policy.pairs_max:
        raise ProblemError(
            "pairs", None, f"{pairs} package-partner pairs, at most {policy.pairs_max} can be matched at once"
        )
    distance = distance_m(
        packages.pickup_lat[:, None], packages.pickup_lng[:, None], partners.lat[None, :], partners.lng[None, :]
    )
    lost = _lost(packages, partners, policy, distance)
    cost_s = sum(_terms(packages, partners, policy, now_s, distance, *_all_pairs(packages, partners)).values())
    cost_s = np.where(lost == Lost.FEASIBLE, cost_s, np.inf)
    return Costs(cost_s, lost, distance)


def terms_of(
    packages: Packages, partners: Partners, policy: Policy, now_s: float, package: Ints, partner: Ints
) -> dict[str, Floats]:
    """Return each term of some pairs, by its name; `package` and `partner` are index arrays of equal shape."""
    distance = distance_m(
        packages.pickup_lat[package], packages.pickup_lng[package], partners.lat[partner], partners.lng[partner]
    )
    return _terms(packages, partners, policy, now_s, distance, package, partner)


def _all_pairs(packages: Packages, partners: Partners) -> tuple[Ints, Ints]:
    return np.arange(len(packages))[:, None], np.arange(len(partners))[None, :]


def _terms(
    packages: Packages, partners: Partners, policy: Policy, now_s: float, distance: Floats, package: Ints, partner: Ints
) -> dict[str, Floats]:
    speed = SPEED_M_PER_S[partners.vehicle][partner]
    travel_s = distance / speed
    ride_m = distance_m(packages.pickup_lat, packages.pickup_lng, packages.drop_lat, packages.drop_lng)
    leaves_s = np.maximum(now_s + travel_s, packages.ready_at_s[package])
    late_s = np.maximum(0.0, leaves_s + ride_m[package] / speed - packages.due_at_s[package])
    outside = _outside_zones(packages, partners)[package, partner]
    return {
        "pickup_travel": travel_s,
        "lateness": policy.lateness_weight * late_s,
        "outside_zones": policy.zone_penalty_s * outside,
    }


def _outside_zones(packages: Packages, partners: Partners) -> Bools:
    """Return (n, m): whether the pickup lies outside the partner's preferred zones."""
    outside = np.zeros((len(packages), len(partners)), dtype=bool)
    picky = np.flatnonzero(np.diff(partners.zone_offsets))
    if len(picky) and len(packages):
        pickup = cells(packages.pickup_lat, packages.pickup_lng)
        inside = shortened(pickup[:, None], partners.zone_precision[None, :]) == partners.zone_cell[None, :]
        outside[:, picky] = ~np.logical_or.reduceat(inside, partners.zone_offsets[picky], axis=1)
    return outside


def _lost(packages: Packages, partners: Partners, policy: Policy, distance: Matrix) -> Reasons:
    shape = (len(packages), len(partners))
    rules = (
        (Lost.WRONG_VEHICLE, (packages.vehicle_mask[:, None] >> partners.vehicle[None, :] & 1) == 0),
        (Lost.TOO_LONG, packages.side_mm[:, None] > partners.side_mm_max[None, :]),
        (Lost.NO_PARCELS_LEFT, np.broadcast_to(partners.parcels_left[None, :] < 1, shape)),
        (Lost.TOO_HEAVY, packages.weight_g[:, None] > partners.weight_g_left[None, :]),
        (Lost.TOO_BULKY, packages.volume_cm3[:, None] > partners.volume_cm3_left[None, :]),
        (Lost.OFF_SHIFT, _off_shift(packages, partners)),
        (Lost.DECLINED_BEFORE, _declined(packages, shape)),
        (Lost.TOO_FAR, distance > policy.pickup_distance_m_max),
    )
    lost = np.zeros(shape, dtype=np.int8)
    for reason, broken in reversed(rules):
        lost[broken] = reason
    return lost


def _off_shift(packages: Packages, partners: Partners) -> Bools:
    """Return (n, m): whether no slot of the partner covers the moment the goods are ready."""
    off = np.zeros((len(packages), len(partners)), dtype=bool)
    planned = np.flatnonzero(np.diff(partners.slot_offsets))
    if len(planned) and len(packages):
        ready = packages.ready_at_s[:, None]
        on = (partners.slot_start_s[None, :] <= ready) & (ready < partners.slot_end_s[None, :])
        off[:, planned] = ~np.logical_or.reduceat(on, partners.slot_offsets[planned], axis=1)
    return off


def _declined(packages: Packages, shape: tuple[int, int]) -> Bools:
    declined = np.zeros(shape, dtype=bool)
    if len(packages.declined):
        declined[packages.declined[:, 0], packages.declined[:, 1]] = True
    return declined
