"""The optimal matching: as many packages as possible, and among those matchings one of least cost.

Capacity is slots: a partner with room for k parcels stands in k columns of the assignment problem, which
`scipy.optimize.linear_sum_assignment` solves exactly (a shortest augmenting path algorithm; Crouse 2016,
doi:10.1109/TAES.2016.140952). Costs are rounded to milliseconds, so that sums are exact in float64 and the same input
gives the same answer on every machine.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from services.assignment.matching.costs import Matrix
from services.assignment.matching.problem import Ints, Packages, Partners

UNASSIGNED = -1
REPAIR_ROUNDS_MAX = 20


def solve(cost_s: Matrix, slots: Ints) -> Ints:
    """Return for each package the partner it is matched to, or UNASSIGNED.

    cost_s: (n, m), +inf where impossible. slots: (m,), how many packages a partner may get.
    """
    assigned = np.full(len(cost_s), UNASSIGNED, dtype=np.int64)
    possible = np.isfinite(cost_s) & (slots > 0)[None, :]
    rows, columns = np.flatnonzero(possible.any(axis=1)), np.flatnonzero(possible.any(axis=0))
    if not len(rows):
        return assigned
    reach = possible[np.ix_(rows, columns)]
    # A partner never needs more columns than packages could use.
    copies = np.minimum(slots[columns], reach.sum(axis=0))
    partner_of_column = np.repeat(np.arange(len(columns)), copies)
    cost_ms = np.rint(np.where(reach, cost_s[np.ix_(rows, columns)], 0.0) * 1000)
    # Leaving a package out costs more than any rearrangement of the others could save.
    left_out_ms = (cost_ms.max() + 1) * (len(rows) + 1)
    dense = np.where(reach, cost_ms, left_out_ms)[:, partner_of_column]
    row_index, column_index = linear_sum_assignment(dense)
    real = dense[row_index, column_index] < left_out_ms
    assigned[rows[row_index[real]]] = columns[partner_of_column[column_index[real]]]
    return assigned


def solve_within_load(cost_s: Matrix, packages: Packages, partners: Partners) -> Ints:
    """Return solve()'s matching, changed where several parcels together are too heavy or bulky for their partner.

    What does not fit, dearest first, is taken off and matched again among what is left of the capacities; every round
    places or drops at least one parcel, and after REPAIR_ROUNDS_MAX rounds the rest stays unassigned.
    """
    assigned = np.full(len(packages), UNASSIGNED, dtype=np.int64)
    parcels, weight_g, volume_cm3 = (
        partners.parcels_left.copy(), partners.weight_g_left.copy(), partners.volume_cm3_left.copy(),
    )  # fmt: skip
    for _ in range(REPAIR_ROUNDS_MAX):
        open_rows = np.flatnonzero(assigned == UNASSIGNED)
        room = cost_s[open_rows]
        if assigned.max(initial=UNASSIGNED) != UNASSIGNED:
            fits = (packages.weight_g[open_rows, None] <= weight_g) & (
                packages.volume_cm3[open_rows, None] <= volume_cm3
            )
            room = np.where(fits, room, np.inf)
        proposed = solve(room, parcels)
        matched = np.flatnonzero(proposed != UNASSIGNED)
        if not len(matched):
            break
        overfull = False
        cheapest_first = matched[np.argsort(room[matched, proposed[matched]], kind="stable")]
        for place in cheapest_first:
            row, partner = open_rows[place], proposed[place]
            if packages.weight_g[row] > weight_g[partner] or packages.volume_cm3[row] > volume_cm3[partner]:
                overfull = True
                continue
            assigned[row] = partner
            parcels[partner] -= 1
            weight_g[partner] -= packages.weight_g[row]
            volume_cm3[partner] -= packages.volume_cm3[row]
        if not overfull:
            break
    return assigned
