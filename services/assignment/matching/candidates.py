"""Which partners may matter to a package: the nearest ones, from a spatial index of each vehicle's partners.

A pair never costs less than the way from the partner to the pickup at its vehicle's best speed and what the partner
costs wherever the package is. So `reach_ms` bounds from below what anyone beyond a package's neighbourhood would cost.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints, straight_m
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rulebook import MS, RuleBook

Singles = npt.NDArray[np.float32]

# What rounding may take off: half a millisecond of the cost, and the index's own arithmetic.
_SLACK_MS = 1.0
_BALLS_AT_ONCE_MAX = 2_000
# Up to so many pairs are written down; beyond, the trees are quicker, and far smaller.
TABLE_CELLS_MAX = 4_000_000
_CELLS_AT_ONCE = 130_000
_SAMPLED, _BLOCK = 8, 64
_ROUNDED_DOWN = 1.0 - 2.0**-22
_NEVER_MS = 1e30
_NOBODY = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Neighbours:
    """Pairs (package, partner) of shape (e,), and what each costs at least by its way and its partner, least_ms.

    reach_ms: (queried packages,) every pair whose least_ms is not above it is there, if the rules that compare columns
    leave it; +inf where all of them are. screened: those rules have been asked.
    """

    package: Ints
    partner: Ints
    least_ms: Floats
    reach_ms: Floats
    screened: bool


@dataclass(frozen=True)
class _Class:
    """The partners with one vehicle: `partner`, (k,) their indices, in the order of the tree's points."""

    tree: cKDTree
    partner: Ints
    speed_m_per_s: float
    floor_ms: float


class Nearby(Protocol):
    """Finds the partners that may matter to packages. neighbours_first: so many to begin with are found quickest."""

    neighbours_first: int

    def nearest(self, packages: Ints, count: int) -> Neighbours:
        """Return for each of `packages` about `count` partners who cost least, and how far they reach."""
        ...

    def within(self, packages: Ints, reach_ms: Floats) -> Neighbours:
        """Return for each of `packages` the partners who cost at least no more than `reach_ms`, (packages,)."""
        ...


def nearby(problem: Problem, book: RuleBook, partner_floor_ms: Floats) -> Nearby:
    """Return what finds a problem's partners fastest.

    partner_floor_ms: (m,) what each partner costs at least, +inf for those who do not count.
    """
    able = int(np.isfinite(partner_floor_ms).sum())
    kind = PairTable if len(problem.packages) * able <= TABLE_CELLS_MAX else SpatialIndex
    return kind(problem, book, partner_floor_ms)


class PairTable:
    """What every pair costs at least, where there are few enough pairs to write them all down.

    In single precision, rounded down: it is read many times, and only decides which pairs are looked at.
    """

    neighbours_first = 16

    def __init__(self, problem: Problem, book: RuleBook, partner_floor_ms: Floats) -> None:
        n = len(problem.packages)
        self._partner = np.flatnonzero(np.isfinite(partner_floor_ms))
        k = len(self._partner)
        pickup, place = _spatial(problem.embedded[0]), _spatial(problem.embedded_places[self._partner])
        speed_m_per_s = problem.fastest_m_per_s[problem.partners.vehicle[self._partner]]
        limit_m, floor_ms = _limit_m(problem), partner_floor_ms[self._partner]
        self._least_ms = np.empty((n, k), dtype=np.float32)
        ms_per_m = MS * book.travel_weight / speed_m_per_s
        screen = book.screen(problem, self._partner)
        # In pieces that stay in the processor's cache.
        step = max(1, _CELLS_AT_ONCE // max(1, k))
        for start in range(0, n, step):
            possible = screen.possible(np.arange(start, min(start + step, n)))
            _write_least(pickup, place, ms_per_m, floor_ms, limit_m, start, possible, self._least_ms)
        self._dearest_ms = _dearest_ms(problem, book.travel_weight, partner_floor_ms)

    def nearest(self, packages: Ints, count: int) -> Neighbours:
        """Return for each of `packages` about `count` partners who cost least, and how far they reach.

        How far that is, every eighth partner tells.
        """
        sample_ms, wanted = self._least_ms[:, ::_SAMPLED], count // _SAMPLED
        if wanted >= sample_ms.shape[1]:
            return self.within(packages, np.full(len(packages), np.inf))
        return self.within(packages, np.partition(sample_ms[packages], wanted, axis=1)[:, wanted].astype(np.float64))

    def within(self, packages: Ints, reach_ms: Floats) -> Neighbours:
        """Return for each of `packages` the partners who cost at least no more than `reach_ms`, (packages,)."""
        asked_ms = np.nextafter(np.minimum(reach_ms, self._dearest_ms).astype(np.float32), np.float32(np.inf))
        package, column, found_ms = _cells_within(self._least_ms, packages, asked_ms)
        reach_ms = np.where(reach_ms >= self._dearest_ms, np.inf, asked_ms.astype(np.float64))
        return Neighbours(package, self._partner[column], found_ms, reach_ms, screened=True)


def _spatial(places: Floats) -> Floats:
    """Return (3, k): embedded places by coordinate."""
    return np.vstack([places.T, np.zeros((3 - places.shape[1], len(places)))])


@compiled
def _write_least(
    pickup: Floats, place: Floats, ms_per_m: Floats, floor_ms: Floats, limit_m: float, start: int, possible: Bools,
    least_ms: Singles,
) -> None:  # fmt: skip
    """Set rows of a PairTable from `start` on; pickup: (3, n), place: (3, k), ms_per_m, floor_ms: (k,).

    possible: (rows, k).
    """
    x_m, y_m, z_m = place[0], place[1], place[2]
    straight_m = np.empty(place.shape[1])
    for row in range(len(possible)):
        i = start + row
        pickup_x_m, pickup_y_m, pickup_z_m = pickup[0, i], pickup[1, i], pickup[2, i]
        # In loops so simple that they become vector instructions.
        for j in range(len(straight_m)):
            off_x_m, off_y_m, off_z_m = pickup_x_m - x_m[j], pickup_y_m - y_m[j], pickup_z_m - z_m[j]
            straight_m[j] = np.sqrt(off_x_m * off_x_m + off_y_m * off_y_m + off_z_m * off_z_m)
            least_ms[i, j] = (straight_m[j] * ms_per_m[j] - _SLACK_MS + floor_ms[j]) * _ROUNDED_DOWN
        for j in range(len(straight_m)):
            if not possible[row, j] or straight_m[j] > limit_m:
                least_ms[i, j] = _NEVER_MS


@compiled
def _cells_within(least_ms: Singles, packages: Ints, reach_ms: Singles) -> tuple[Ints, Ints, Floats]:
    """Return package, column and value of the cells of some packages that are not above their reach, by package."""
    k = least_ms.shape[1]
    # Most blocks have none, and to count is quick: a loop so simple that it becomes vector instructions.
    blocks = k // _BLOCK
    hits = np.ones((len(packages), blocks + 1), np.int32)
    count = 0
    for row in range(len(packages)):
        mine_ms, limit_ms = least_ms[packages[row]], reach_ms[row]
        for block in range(blocks):
            found = np.int32(0)
            for j in range(_BLOCK):
                found += np.int32(mine_ms[block * _BLOCK + j] <= limit_ms)
            hits[row, block] = found
            count += int(found)
        for j in range(blocks * _BLOCK, k):
            count += mine_ms[j] <= limit_ms
    package, column, found_ms = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    count = 0
    for row in range(len(packages)):
        i, limit_ms = packages[row], reach_ms[row]
        for block in range(blocks + 1):
            if hits[row, block]:
                for j in range(block * _BLOCK, min(k, (block + 1) * _BLOCK)):
                    if least_ms[i, j] <= limit_ms:
                        package[count], column[count], found_ms[count] = i, j, least_ms[i, j]
                        count += 1
    return package, column, found_ms


class SpatialIndex:
    """The partners of a problem by vehicle and place, each vehicle's in a tree."""

    neighbours_first = 6

    def __init__(self, problem: Problem, book: RuleBook, partner_floor_ms: Floats) -> None:
        self._place, self._pickup = problem.embedded_places, problem.embedded[0]
        self._travel_weight, self._floor_ms = book.travel_weight, partner_floor_ms
        self._limit_m = _limit_m(problem)
        able = np.flatnonzero(np.isfinite(partner_floor_ms))
        self._vehicle, self._speeds = problem.partners.vehicle, problem.fastest_m_per_s
        self._classes = []
        for vehicle in np.unique(self._vehicle[able]):
            mine = able[self._vehicle[able] == vehicle]
            # Not balanced: building takes a third of the time, and clustered places are found as fast.
            tree = cKDTree(self._place[mine], balanced_tree=False, compact_nodes=False)
            self._classes.append(_Class(tree, mine, float(self._speeds[vehicle]), float(partner_floor_ms[mine].min())))
        self._dearest_ms = _dearest_ms(problem, book.travel_weight, partner_floor_ms)

    def nearest(self, packages: Ints, count: int) -> Neighbours:
        """Return for each of `packages` about `count` partners who cost least, and how far they reach."""
        row, partner, reach_ms = [_NOBODY], [_NOBODY], np.full(len(packages), np.inf)
        for kind in self._classes:
            k = min(count + 1, kind.tree.n)
            found = kind.tree.query(
                self._pickup[packages], k=np.arange(1, k + 1), distance_upper_bound=self._limit_m * (1 + 1e-12)
            )
            straight, index = np.asarray(found[0]), np.asarray(found[1])
            if k < kind.tree.n:
                # Others may be just as far as the last one that was found.
                last_ms = _way_ms(straight[:, -1], kind.speed_m_per_s, self._travel_weight) + kind.floor_ms
                reach_ms = np.minimum(reach_ms, last_ms - _SLACK_MS)
            there = np.isfinite(straight)
            row.append(np.nonzero(there)[0])
            partner.append(kind.partner[index[there]])
        # Each vehicle's partners are known up to their own reach, all of them up to the shortest.
        return self._kept(packages, np.concatenate(row), np.concatenate(partner), reach_ms)

    def within(self, packages: Ints, reach_ms: Floats) -> Neighbours:
        """Return for each of `packages` the partners who cost at least no more than `reach_ms`, (packages,)."""
        row, partner = [_NOBODY], [_NOBODY]
        for kind in self._classes:
            # Somewhat farther than asked: what is just at the border is then surely inside.
            way_ms = np.maximum(reach_ms - kind.floor_ms, 0.0) + 2 * _SLACK_MS
            radius_m = np.full(len(packages), self._limit_m)
            if self._travel_weight:
                radius_m = np.minimum(way_ms / MS / self._travel_weight * kind.speed_m_per_s, radius_m)
            for start in range(0, len(packages), _BALLS_AT_ONCE_MAX):
                some = np.arange(start, min(start + _BALLS_AT_ONCE_MAX, len(packages)))
                lists = kind.tree.query_ball_point(self._pickup[packages[some]], radius_m[some])
                lengths = np.array([len(found) for found in lists], dtype=np.int64)
                index = np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=int(lengths.sum()))
                row.append(np.repeat(some, lengths))
                partner.append(kind.partner[index])
        all_ms = np.where(reach_ms >= self._dearest_ms, np.inf, reach_ms)
        return self._kept(packages, np.concatenate(row), np.concatenate(partner), all_ms)

    def _kept(self, packages: Ints, row: Ints, partner: Ints, reach_ms: Floats) -> Neighbours:
        """Return those of the found pairs, (e,) rows of `packages` and partners, that lie within reach."""
        # However a pair was found, this is what it costs at least, to the last bit.
        offset_m = self._pickup.take(packages[row], axis=0) - self._place.take(partner, axis=0)
        straight_way_m = np.sqrt(np.einsum("ij,ij->i", offset_m, offset_m))
        speed_m_per_s = self._speeds[self._vehicle[partner]]
        least_ms = _way_ms(straight_way_m, speed_m_per_s, self._travel_weight) + self._floor_ms[partner]
        kept = least_ms <= reach_ms[row]
        return Neighbours(packages[row[kept]], partner[kept], least_ms[kept], reach_ms, screened=False)


def _limit_m(problem: Problem) -> float:
    """Return the straight line beyond which nobody is sent to a pickup."""
    farthest_m = np.array(problem.policy.pickup_distance_m_max * (1 + 1e-9) + 1e-3)
    return float(straight_m(problem.travel.metric, farthest_m))


def _dearest_ms(problem: Problem, travel_weight: float, partner_floor_ms: Floats) -> float:
    """Return what no pair costs more than by its way and its partner: whoever reaches that far has seen everybody."""
    slowest_s = _limit_m(problem) / float(problem.fastest_m_per_s.min())
    dearest = partner_floor_ms[np.isfinite(partner_floor_ms)].max(initial=0.0)
    return slowest_s * MS * travel_weight + float(dearest)


def _way_ms(straight: Floats, speed_m_per_s: Floats | float, travel_weight: float) -> Floats:
    """Return what the ways cost at least that are `straight` metres as the crow flies."""
    least_ms: Floats = straight * (MS * travel_weight / speed_m_per_s)
    least_ms -= _SLACK_MS
    return least_ms
