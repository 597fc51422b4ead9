"""Exchanges between partners with too little room for what they were matched to.

What does not fit together has been taken off its partner and matched again among what was left, which depends on what
came first: that is the generalized assignment problem, and NP-hard. So packages are moved while that is better: to a
free place, into the place of one that moves on, or against each other. Where nothing is better, a lighter package takes
the place of a heavier one, to see whether the room that this makes is good for anything (ejection chains of length two;
Yagiura, Ibaraki and Glover 2004, doi:10.1287/ijoc.1030.0036).
"""

from collections.abc import Callable

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED, Graph
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.loads import loaded, loads_of, room_of
from services.assignment.matching.problem import Bools, Packages, Partners
from services.assignment.matching.routes import within

# Exchanges among more pairs than this would take longer than they are worth.
PAIRS_MAX = 20_000
MOVES_MAX, ROOM_MOVES_MAX = 1_000, 100


def exchanged(
    graph: Graph, packages: Packages, partners: Partners, first: Ints, partner: Ints, cost_ms: Floats
) -> Ints:
    """Return (n,): a matching that is at least as good as `partner`, and fits.

    graph: the candidate pairs. first: (n,) the matching that did not fit; partner: (n,) one that does, and cost_ms:
    (n,) of its pairs; UNASSIGNED in both where there is none. Only packages near those that differ are looked at.
    """
    member = _around(graph, first, partner)
    rows = np.flatnonzero(member)
    pairs = member[graph.package] & (graph.cost_ms <= graph.left_out_ms[graph.package])
    # The place of one that was matched again may be no candidate pair.
    held = rows[partner[rows] != UNASSIGNED]
    pairs &= graph.partner != partner[graph.package]
    if pairs.sum() + len(held) > PAIRS_MAX:
        return partner
    package = np.concatenate([graph.package[pairs], held])
    to = np.concatenate([graph.partner[pairs], partner[held]])
    pair_ms = np.concatenate([graph.cost_ms[pairs], cost_ms[held]])
    order = np.lexsort((to, package))
    columns, column = np.unique(to[order], return_inverse=True)
    row, at = np.searchsorted(rows, package[order]), np.full(len(rows), UNASSIGNED, dtype=np.int64)
    at[partner[rows] != UNASSIGNED] = np.searchsorted(columns, partner[held])
    # The others stay where they are.
    room = room_of(loaded(packages, partners, np.where(member, UNASSIGNED, partner)))[columns]
    best = _Exchange(row, column, pair_ms[order], loads_of(packages)[rows], room, graph.left_out_ms[rows]).best(at)
    result = partner.copy()
    result[rows] = np.append(columns, UNASSIGNED)[best]
    return result


def _around(graph: Graph, first: Ints, partner: Ints) -> Bools:
    """Return (n,): the packages that what has changed, or has crowded a partner, could push on."""
    moved = first != partner
    near = np.zeros(len(graph.slots), dtype=bool)
    near[graph.partner[moved[graph.package]]] = True
    near[first[moved & (first != UNASSIGNED)]] = True
    member: Bools = moved | ((partner != UNASSIGNED) & near[partner])
    return member


class _Exchange:
    """A matching that changes: `a` packages, `c` partners, `e` pairs ordered by package and then partner.

    row, column, cost_ms: (e,) the pairs. load: (a, d). room: (c, d) without any package. left_out_ms: (a,).
    at: (a,) each one's partner, or UNASSIGNED; own_ms: (a,) what that costs. Kept here as (d, a) and (d, c).
    """

    def __init__(self, row: Ints, column: Ints, cost_ms: Floats, load: Ints, room: Ints, left_out_ms: Floats) -> None:
        self.row, self.column, self.cost_ms, self.left_out_ms = row, column, cost_ms, left_out_ms
        # What could never be too much, though everyone came who can, is nothing to look at.
        wanted = [np.bincount(column, weights=part[row], minlength=len(room)) for part in load.T]
        scarce = [bool((most > left).any()) for most, left in zip(wanted, room.T, strict=True)]
        self.load, self.room_in_all = np.ascontiguousarray(load.T[scarce]), np.ascontiguousarray(room.T[scarce])
        self.count = len(room)
        self.key = row * self.count + column
        self.starts = np.searchsorted(row, np.arange(len(load)))
        self.some = np.flatnonzero(np.diff(np.append(self.starts, len(row))))
        self.least_ms = self._least_ms(cost_ms)
        self.weight = (load / np.maximum(1, load.max(axis=0, initial=1))).sum(axis=1)

    def best(self, at: Ints) -> Ints:
        """Return (a,): the best places that are found from `at` on."""
        self._put(at)
        best, best_ms = self.at.copy(), np.inf
        for rooms_left in range(ROOM_MOVES_MAX, -1, -1):
            self._climb(leave=False)
            if self._value_ms() < best_ms:
                best, best_ms = self.at.copy(), self._value_ms()
            if not rooms_left or not self._make_room():
                break
        self._put(best)
        self._climb(leave=True)
        return self.at

    def _value_ms(self) -> float:
        """Return what the matching costs, those left out included: exact, for so few."""
        return float(self.own_ms.sum())

    def _put(self, at: Ints) -> None:
        self.at, self.own_ms, self.room = at.copy(), self.left_out_ms.copy(), self.room_in_all.copy()
        held = np.flatnonzero(at != UNASSIGNED)
        self.own_ms[held] = self.cost_ms[np.searchsorted(self.key, held * self.count + at[held])]
        for room, load in zip(self.room, self.load, strict=True):
            np.subtract.at(room, at[held], load[held])

    def _climb(self, *, leave: bool) -> None:
        """Move while that is better; with `leave`, one may be left out instead of another one."""
        for _ in range(MOVES_MAX):
            free_ms = self._free_ms()
            if not self._advance(free_ms):
                edge, other = self._instead()
                if not (self._push_on(free_ms, edge, other, leave=leave) or self._swap(edge, other)):
                    return

    def _free_ms(self) -> Floats:
        """Return (e,): each pair's cost where the package fits as things stand and is not yet, +inf elsewhere."""
        fits = self.at[self.row] != self.column
        for room, load in zip(self.room, self.load, strict=True):
            fits &= load[self.row] <= room[self.column]
        return np.where(fits, self.cost_ms, np.inf)

    def _instead(self) -> tuple[Ints, Ints]:
        """Return (pairs, packages): where one fits in another's place, if that could make anything better."""
        held = np.argsort(self.at, kind="stable")[int((self.at == UNASSIGNED).sum()) :]
        starts = np.searchsorted(self.at[held], np.arange(self.count + 1))
        # Where even the cheapest place for whoever has to go would not make it better, nobody need look.
        hope_ms = np.zeros(self.count)
        np.maximum.at(hope_ms, self.at[held], self.own_ms[held] - self.least_ms[held])
        saved_ms = self.own_ms[self.row] - self.cost_ms + hope_ms[self.column]
        edge = np.flatnonzero((self.at[self.row] != self.column) & (saved_ms > 0))
        first, count = starts[self.column[edge]], np.diff(starts)[self.column[edge]]
        other, edge = held[np.repeat(first, count) + within(count)], np.repeat(edge, count)
        fits = self._fits_instead(self.row[edge], other)
        return edge[fits], other[fits]

    def _fits_instead(self, rows: Ints, held: Ints) -> Bools:
        """Return (k,): whether each row would fit in the place of the held one beside it."""
        fits, place = np.ones(len(rows), dtype=bool), self.at[held]
        for room, load in zip(self.room, self.load, strict=True):
            fits &= load[rows] <= room[place] + load[held]
        return fits

    def _least_ms(self, pair_ms: Floats) -> Floats:
        """Return (a,): the least of each package's pairs, +inf where it has none."""
        least_ms = np.full(len(self.starts), np.inf)
        if len(self.some):
            least_ms[self.some] = np.minimum.reduceat(pair_ms, self.starts[self.some])
        return least_ms

    def _advance(self, free_ms: Floats) -> bool:
        """Move one to a free place, or in, where that saves most."""
        return self._best(self.own_ms[self.row] - free_ms, lambda e: [(self.row[e], self.column[e])])

    def _push_on(self, free_ms: Floats, edge: Ints, other: Ints, *, leave: bool) -> bool:
        """Put one in the place of another one, which moves on to a free place."""
        next_ms = self._least_ms(free_ms)
        if leave:
            next_ms = np.minimum(next_ms, self.left_out_ms)
        saved_ms = self.own_ms[self.row[edge]] - self.cost_ms[edge] + (self.own_ms - next_ms)[other]

        def moves(at: int) -> list[tuple[int, int]]:
            pushed = other[at]
            free = np.flatnonzero((self.row == pushed) & (free_ms == next_ms[pushed]))
            to = self.column[free[0]] if len(free) else UNASSIGNED
            return [(pushed, to), (self.row[edge[at]], self.column[edge[at]])]

        return self._best(saved_ms, moves)

    def _swap(self, edge: Ints, other: Ints) -> bool:
        """Let two change places."""
        one = self.row[edge]
        wanted = other * self.count + self.at[one]
        back = np.minimum(np.searchsorted(self.key, wanted), max(0, len(self.key) - 1))
        known = (self.at[one] != UNASSIGNED) & (self.key[back] == wanted)
        edge, other, back, one = edge[known], other[known], back[known], one[known]
        fits = self._fits_instead(other, one)
        saved_ms = self.own_ms[one] + self.own_ms[other] - self.cost_ms[edge] - self.cost_ms[back]
        saved_ms = np.where(fits, saved_ms, -np.inf)
        return self._best(saved_ms, lambda at: [(one[at], self.at[other[at]]), (other[at], self.at[one[at]])])

    def _make_room(self) -> bool:
        """Leave a heavier one out instead of a lighter one, though it costs more, where that makes most room."""
        edge, other = self._instead()
        one = self.row[edge]
        fair = (self.at[one] == UNASSIGNED) & (self.left_out_ms[one] >= self.left_out_ms[other])
        lighter = np.where(fair, self.weight[other] - self.weight[one], -np.inf)
        return self._best(lighter, lambda at: [(other[at], UNASSIGNED), (one[at], self.column[edge[at]])])

    def _best(self, worth: Floats, moves: Callable[[int], list[tuple[int, int]]]) -> bool:
        """Make the moves of what is worth most, if it is worth anything: packages with where they go, all at once."""
        if not len(worth):
            return False
        best = int(np.argmax(worth))
        if not worth[best] > 0:
            return False
        for row, to in moves(best):
            if self.at[row] != UNASSIGNED:
                self.room[:, self.at[row]] += self.load[:, row]
            if to == UNASSIGNED:
                self.own_ms[row] = self.left_out_ms[row]
            else:
                self.room[:, to] -= self.load[:, row]
                self.own_ms[row] = self.cost_ms[np.searchsorted(self.key, row * self.count + to)]
            self.at[row] = to
        return True
