"""Several packages of one match to one partner: they must also fit together."""

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.columns import derived
from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Packages, Partners

# What a package takes of a partner, and where the partner's room stands.
_LOADS = (
    ("parcels", "parcels_left"),
    ("weight_g", "weight_g_left"),
    ("volume_cm3", "volume_cm3_left"),
    ("cash_on_delivery_paise", "cash_paise_left"),
)


def fitting(packages: Packages, partners: Partners, partner: Ints, cost_ms: Floats) -> Bools:
    """Return (n,): which matched packages fit when each partner loads its cheapest ones first.

    partner: (n,) or UNASSIGNED. A partner's only package always fits: the rules have seen to that.
    """
    fits: Bools = partner != UNASSIGNED
    matched = np.flatnonzero(fits)
    # Each partner's packages together, cheapest first.
    order = matched[np.lexsort((matched, cost_ms[matched], partner[matched]))]
    _pack(order, partner, loads_of(packages), room_of(partners), fits)
    return fits


@compiled
def _pack(order: Ints, partner: Ints, load: Ints, room: Ints, fits: Bools) -> None:
    """Say of packages in `order`, each partner's together, which fit beside those before them."""
    taken = np.zeros(load.shape[1], np.int64)
    for place in range(len(order)):
        i, j = order[place], partner[order[place]]
        # A partner's only package fits: the rules have seen to that, and to its route.
        fits[i] = True
        if place == 0 or partner[order[place - 1]] != j:
            taken[:] = 0
        else:
            for kind in range(len(taken)):
                fits[i] &= taken[kind] + load[i, kind] <= room[j, kind]
        if fits[i]:
            taken += load[i]


def loaded(packages: Packages, partners: Partners, partner: Ints) -> Partners:
    """Return the partners with what is left after they have taken their packages; partner: (n,) or UNASSIGNED."""
    rows = np.flatnonzero(partner != UNASSIGNED)

    def taken(weights: Ints) -> Ints:
        sums = np.zeros(len(partners), dtype=np.int64)
        np.add.at(sums, partner[rows], weights[rows])
        return sums

    left = {left: getattr(partners, left) - taken(getattr(packages, name)) for name, left in _LOADS}
    units = partners.units_max - taken(np.ones(len(packages), dtype=np.int64))
    return derived(partners, units_max=units, **left)


def loads_of(packages: Packages) -> Ints:
    """Return (n, d): what each package takes of its partner's room, one of the units that it may get included."""
    taken = [getattr(packages, name) for name, _ in _LOADS]
    return np.column_stack([*taken, np.ones(len(packages), dtype=np.int64)])


def room_of(partners: Partners) -> Ints:
    """Return (m, d): what each partner has room for, in the columns of loads_of."""
    return np.column_stack([*(getattr(partners, left) for _, left in _LOADS), partners.units_max])
