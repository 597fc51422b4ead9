"""Exchanges between partners with too little room for what they were matched to.

What does not fit together has been taken off its partner and matched again among what was left, which depends on what
came first: that is the generalized assignment problem, and NP-hard. So packages are moved while that is better: to a
free place, into the place of one that moves on, or against each other. Where nothing is better, a lighter package takes
the place of a heavier one, to see whether the room that this makes is good for anything (ejection chains of length two;
Yagiura, Ibaraki and Glover 2004, doi:10.1287/ijoc.1030.0036).
"""

from typing import NamedTuple

import numpy as np

from services.assignment.matching.assignment import UNASSIGNED, Graph
from services.assignment.matching.compiled import compiled
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.loads import loaded, loads_of, room_of
from services.assignment.matching.problem import Bools, Packages, Partners

# Exchanges among more pairs than this would take longer than they are worth.
PAIRS_MAX = 20_000
MOVES_MAX, ROOM_MOVES_MAX = 1_000, 100
# And so would more looks at who could go where instead of whom: some seconds.
LOOKS_MAX = 500_000_000


def exchanged(
    graph: Graph, packages: Packages, partners: Partners, first: Ints, partner: Ints, cost_ms: Floats
) -> tuple[Ints, Floats]:
    """Return (n,): a matching that is at least as good as `partner`, and fits; and (n,) what its pairs cost.

    graph: the candidate pairs. first: (n,) the matching that did not fit; partner: (n,) one that does, and cost_ms:
    (n,) of its pairs; UNASSIGNED in both where there is none. Only packages near those that differ are looked at.
    """
    member = _around(graph, first, partner)
    rows = np.flatnonzero(member)
    near = member[graph.package] & (graph.cost_ms <= graph.left_out_ms[graph.package])
    # The place of one that was matched again may be no candidate pair.
    held = rows[partner[rows] != UNASSIGNED]
    near &= graph.partner != partner[graph.package]
    if near.sum() + len(held) > PAIRS_MAX:
        return partner, cost_ms
    package = np.concatenate([graph.package[near], held])
    to = np.concatenate([graph.partner[near], partner[held]])
    pair_ms = np.concatenate([graph.cost_ms[near], cost_ms[held]])
    order = np.lexsort((to, package))
    columns, column = np.unique(to[order], return_inverse=True)
    at = np.full(len(rows), UNASSIGNED, dtype=np.int64)
    at[partner[rows] != UNASSIGNED] = np.searchsorted(columns, partner[held])
    starts = np.searchsorted(package[order], np.append(rows, len(graph.left_out_ms)))
    # The others stay where they are.
    room = room_of(loaded(packages, partners, np.where(member, UNASSIGNED, partner)))[columns]
    load = loads_of(packages)[rows]
    weight = (load / np.maximum(1, load.max(axis=0, initial=1))).sum(axis=1)
    pairs = _Pairs(starts, column, pair_ms[order], load, graph.left_out_ms[rows], weight)
    result, result_ms = partner.copy(), cost_ms.copy()
    at, own_ms = _best(pairs, at, room)
    result[rows] = np.append(columns, UNASSIGNED)[at]
    result_ms[rows] = np.where(at == UNASSIGNED, 0.0, own_ms)
    return result, result_ms


def _around(graph: Graph, first: Ints, partner: Ints) -> Bools:
    """Return (n,): the packages that what has changed, or has crowded a partner, could push on."""
    moved = first != partner
    near = np.zeros(len(graph.slots), dtype=bool)
    near[graph.partner[moved[graph.package]]] = True
    near[first[moved & (first != UNASSIGNED)]] = True
    member: Bools = moved | ((partner != UNASSIGNED) & near[partner])
    return member


class _Pairs(NamedTuple):
    """`a` packages and the partners that each may go to, by number.

    starts: (a + 1,) a package's pairs are starts[i]:starts[i+1]. column, cost_ms: (e,) partner and cost of each pair.
    load: (a, d). left_out_ms: (a,). weight: (a,) how much room a package takes, for comparison.
    """

    starts: Ints
    column: Ints
    cost_ms: Floats
    load: Ints
    left_out_ms: Floats
    weight: Floats


class _Places(NamedTuple):
    """A matching that changes: (a,) each package's partner or UNASSIGNED and what that costs, (c, d) the room left.

    held, held_starts: the packages of each partner, held[held_starts[j]:held_starts[j+1]]. looks_left: (1,).
    """

    at: Ints
    own_ms: Floats
    room: Ints
    held: Ints
    held_starts: Ints
    looks_left: Ints


@compiled
def _best(pairs: _Pairs, at: Ints, room: Ints) -> tuple[Ints, Floats]:
    """Return (a,): the best places that are found from `at` on, and what they cost; room: (c, d) without packages."""
    places = _placed(pairs, at, room)
    best, best_ms = places.at.copy(), np.inf
    for rooms_left in range(ROOM_MOVES_MAX, -1, -1):
        _climb(pairs, places, False)
        if places.own_ms.sum() < best_ms:
            best, best_ms = places.at.copy(), places.own_ms.sum()
        if not rooms_left or places.looks_left[0] <= 0 or not _make_room(pairs, places):
            break
    places = _placed(pairs, best, room)
    _climb(pairs, places, True)
    return places.at, places.own_ms


@compiled
def _placed(pairs: _Pairs, at: Ints, room: Ints) -> _Places:
    n = len(at)
    places = _Places(
        np.full(n, UNASSIGNED), pairs.left_out_ms.copy(), room.copy(), np.empty(n, np.int64),
        np.empty(len(room) + 1, np.int64), np.full(1, LOOKS_MAX),
    )  # fmt: skip
    for i in range(n):
        _put(pairs, places, i, at[i])
    return places


@compiled
def _put(pairs: _Pairs, places: _Places, i: int, to: int) -> None:
    """Take a package from where it is to a partner, or out."""
    left = places.at[i]
    for kind in range(pairs.load.shape[1]):
        if left != UNASSIGNED:
            places.room[left, kind] += pairs.load[i, kind]
        if to != UNASSIGNED:
            places.room[to, kind] -= pairs.load[i, kind]
    places.at[i] = to
    places.own_ms[i] = pairs.left_out_ms[i] if to == UNASSIGNED else pairs.cost_ms[_pair(pairs, i, to)]


@compiled
def _pair(pairs: _Pairs, i: int, to: int) -> int:
    """Return the pair of a package and a partner, or UNASSIGNED where there is none."""
    for e in range(pairs.starts[i], pairs.starts[i + 1]):
        if pairs.column[e] == to:
            return e
    return UNASSIGNED


@compiled
def _has_room(pairs: _Pairs, places: _Places, i: int, to: int, without: int) -> bool:
    """Say whether a package would fit at a partner's, there `without` another one, or UNASSIGNED."""
    for kind in range(pairs.load.shape[1]):
        room = places.room[to, kind]
        if without != UNASSIGNED:
            room += pairs.load[without, kind]
        if pairs.load[i, kind] > room:
            return False
    return True


@compiled
def _climb(pairs: _Pairs, places: _Places, leave: bool) -> None:
    """Move while that is better; with `leave`, one may be left out instead of another one."""
    free = np.empty(len(places.at), np.int64)
    for _ in range(MOVES_MAX):
        if places.looks_left[0] <= 0:
            return
        places.looks_left[0] -= len(pairs.column)
        if not _advance(pairs, places, free):
            _note_held(places)
            for to in pairs.column:
                places.looks_left[0] -= places.held_starts[to + 1] - places.held_starts[to]
            if not (_push_on(pairs, places, free, leave) or _swap(pairs, places)):
                return


@compiled
def _advance(pairs: _Pairs, places: _Places, free: Ints) -> bool:
    """Move one to a free place, or in, where that saves most; set free, (a,), to each one's cheapest such pair."""
    best_ms, best_i, best_e = 0.0, UNASSIGNED, UNASSIGNED
    for i in range(len(places.at)):
        free[i] = UNASSIGNED
        for e in range(pairs.starts[i], pairs.starts[i + 1]):
            to = pairs.column[e]
            if to == places.at[i] or not _has_room(pairs, places, i, to, UNASSIGNED):
                continue
            if free[i] == UNASSIGNED or pairs.cost_ms[e] < pairs.cost_ms[free[i]]:
                free[i] = e
            if places.own_ms[i] - pairs.cost_ms[e] > best_ms:
                best_ms, best_i, best_e = places.own_ms[i] - pairs.cost_ms[e], i, e
    if best_e != UNASSIGNED:
        _put(pairs, places, best_i, pairs.column[best_e])
    return best_e != UNASSIGNED


@compiled
def _note_held(places: _Places) -> None:
    starts = places.held_starts
    starts[:] = 0
    for to in places.at:
        if to != UNASSIGNED:
            starts[to + 1] += 1
    for j in range(1, len(starts)):
        starts[j] += starts[j - 1]
    filled = starts[:-1].copy()
    for i in range(len(places.at)):
        to = places.at[i]
        if to != UNASSIGNED:
            places.held[filled[to]] = i
            filled[to] += 1


@compiled
def _push_on(pairs: _Pairs, places: _Places, free: Ints, leave: bool) -> bool:
    """Put one in the place of another one, which moves on to a free place, where that saves most."""
    best_ms, best_i, best_e, pushed = 0.0, UNASSIGNED, UNASSIGNED, UNASSIGNED
    for i in range(len(places.at)):
        for e in range(pairs.starts[i], pairs.starts[i + 1]):
            to = pairs.column[e]
            if to == places.at[i]:
                continue
            for k in places.held[places.held_starts[to] : places.held_starts[to + 1]]:
                next_ms = pairs.cost_ms[free[k]] if free[k] != UNASSIGNED else np.inf
                if leave:
                    next_ms = min(next_ms, pairs.left_out_ms[k])
                saved_ms = places.own_ms[i] - pairs.cost_ms[e] + places.own_ms[k] - next_ms
                if saved_ms > best_ms and _has_room(pairs, places, i, to, k):
                    best_ms, best_i, best_e, pushed = saved_ms, i, e, k
    if best_e == UNASSIGNED:
        return False
    stays = free[pushed] != UNASSIGNED and not (leave and pairs.left_out_ms[pushed] < pairs.cost_ms[free[pushed]])
    _put(pairs, places, pushed, pairs.column[free[pushed]] if stays else UNASSIGNED)
    _put(pairs, places, best_i, pairs.column[best_e])
    return True


@compiled
def _swap(pairs: _Pairs, places: _Places) -> bool:
    """Let two change places, where that saves most."""
    best_ms, one, other = 0.0, UNASSIGNED, UNASSIGNED
    for i in range(len(places.at)):
        if places.at[i] == UNASSIGNED:
            continue
        for e in range(pairs.starts[i], pairs.starts[i + 1]):
            to = pairs.column[e]
            if to == places.at[i]:
                continue
            for k in places.held[places.held_starts[to] : places.held_starts[to + 1]]:
                back = _pair(pairs, k, places.at[i])
                if back == UNASSIGNED:
                    continue
                saved_ms = places.own_ms[i] + places.own_ms[k] - pairs.cost_ms[e] - pairs.cost_ms[back]
                if saved_ms <= best_ms or not _has_room(pairs, places, i, to, k):
                    continue
                if _has_room(pairs, places, k, places.at[i], i):
                    best_ms, one, other = saved_ms, i, k
    if one == UNASSIGNED:
        return False
    first, second = places.at[one], places.at[other]
    _put(pairs, places, one, second)
    _put(pairs, places, other, first)
    return True


@compiled
def _make_room(pairs: _Pairs, places: _Places) -> bool:
    """Leave a heavier one out instead of a lighter one, though it costs more, where that makes most room."""
    _note_held(places)
    best, best_i, best_e, ousted = 0.0, UNASSIGNED, UNASSIGNED, UNASSIGNED
    for i in range(len(places.at)):
        if places.at[i] != UNASSIGNED:
            continue
        for e in range(pairs.starts[i], pairs.starts[i + 1]):
            to = pairs.column[e]
            for k in places.held[places.held_starts[to] : places.held_starts[to + 1]]:
                lighter = pairs.weight[k] - pairs.weight[i]
                fair = pairs.left_out_ms[i] >= pairs.left_out_ms[k]
                if fair and lighter > best and _has_room(pairs, places, i, to, k):
                    best, best_i, best_e, ousted = lighter, i, e, k
    if best_e == UNASSIGNED:
        return False
    _put(pairs, places, ousted, UNASSIGNED)
    _put(pairs, places, best_i, pairs.column[best_e])
    return True
