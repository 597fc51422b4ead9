"""Joining units of one pickup where that saves more than it costs, given whom each would otherwise get.

Bundles are not sought first and matched then, as in Reyes et al. 2018: every matching says what each unit costs as
things are, two units are joined where a partner who is theirs or nobody's does both for less, and what has become of
the units is matched again. Savings are taken in descending order (Clarke and Wright 1964, doi:10.1287/opre.12.4.568).
"""

from collections.abc import Sequence

import numpy as np

from services.assignment.matching.horizon.candidates import Candidates
from services.assignment.matching.horizon.day import Floats, Ints
from services.assignment.matching.horizon.pricing import price
from services.assignment.matching.horizon.situation import Situation
from services.assignment.matching.horizon.tuning import Tuning
from services.assignment.matching.horizon.units import Packed, Unit, Units

NOBODY = -1


def joined(
    seen: Situation,
    tuning: Tuning,
    made: Units,
    candidates: Candidates,
    units: Sequence[Unit],
    cost: Floats,
    partner: Ints,
    minute_price: float,
    bundle_max: int,
) -> list[Unit] | None:
    """Return the units after joining, or None where nothing is gained.

    cost: (u,) what each unit costs as matched or left out. partner: (u,) whom it is matched to, or NOBODY.
    """
    pairs, ways = _pairs(seen, tuning, made, units, bundle_max)
    if not len(pairs):
        return None
    packed = Packed.of(ways)
    edges = price(seen, tuning, packed, *candidates.pairs(packed.pickup), minute_price)
    taken = np.zeros(len(seen.free_min), dtype=bool)
    taken[partner[partner != NOBODY]] = True
    first, second = pairs[edges.unit, 0], pairs[edges.unit, 1]
    theirs = (edges.partner == partner[first]) | (edges.partner == partner[second])
    usable = np.flatnonzero(~taken[edges.partner] | theirs)
    best = np.full(len(ways), np.inf)
    np.minimum.at(best, edges.unit[usable], edges.cost[usable])
    saving = cost[pairs].sum(axis=1) - best
    gone: set[int] = set()
    added = []
    for index in np.argsort(-saving, kind="stable"):
        if saving[index] <= 1e-6:
            break
        one, other = (int(unit) for unit in pairs[index])
        if one not in gone and other not in gone:
            gone.update((one, other))
            added.append(ways[index])
    return [unit for row, unit in enumerate(units) if row not in gone] + added if added else None


def _pairs(
    seen: Situation, tuning: Tuning, made: Units, units: Sequence[Unit], bundle_max: int
) -> tuple[Ints, list[Unit]]:
    """Return (k, 2) pairs of units worth trying, and each pair as one unit."""
    at: dict[int, list[int]] = {}
    for row, unit in enumerate(units):
        at.setdefault(unit.pickup, []).append(row)
    pairs: list[tuple[int, int]] = []
    ways: list[Unit] = []
    for rows in at.values():
        for one, other in _near(seen, tuning, units, rows):
            a, b = units[one], units[other]
            apart = abs(max(a.ready_min, seen.now_min) - max(b.ready_min, seen.now_min))
            if len(a.orders) + len(b.orders) > bundle_max or apart > tuning.bundle_gap_min:
                continue
            longer, shorter = (a, b) if len(a.orders) >= len(b.orders) else (b, a)
            if len(longer.orders) == 1:
                tried = [longer.orders + shorter.orders, shorter.orders + longer.orders]
            else:
                tried = [made.joined(longer.orders, shorter.orders)]
            for way in tried:
                pairs.append((one, other))
                ways.append(made.of(way))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), ways


def _near(seen: Situation, tuning: Tuning, units: Sequence[Unit], rows: list[int]) -> list[tuple[int, int]]:
    """Return pairs of rows: all where there are few, else each with those whose first drops are nearest."""
    if len(rows) <= tuning.neighbours + 1:
        return [(one, other) for place, one in enumerate(rows) for other in rows[place + 1 :]]
    first = seen.day.flat(seen.day.drop_place[[units[row].orders[0] for row in rows]])
    apart = np.hypot(first[:, None, 0] - first[None, :, 0], first[:, None, 1] - first[None, :, 1])
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1, kind="stable")[:, : tuning.neighbours]
    found = {(min(a, int(b)), max(a, int(b))) for a in range(len(rows)) for b in nearest[a]}
    return [(rows[a], rows[b]) for a, b in sorted(found)]
