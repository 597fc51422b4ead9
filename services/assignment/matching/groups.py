"""Rows that belong together: the least of every group, places within groups, what stands among what is known."""

import numpy as np
import numpy.typing as npt

from services.assignment.matching.compiled import compiled, inlined
from services.assignment.matching.geography import Floats, Ints

Bools = npt.NDArray[np.bool_]


@inlined
def stands_in(key: int, known: Ints, first: int, end: int) -> bool:
    """Say whether a number stands in known[first:end], which is sorted."""
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        if known[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < end and known[low] == key


@compiled
def among(keys: Ints, known: Ints) -> Bools:
    """Return (k,): which of `keys` stand in `known`, which is sorted."""
    found = np.empty(len(keys), np.bool_)
    for row in range(len(keys)):
        found[row] = stands_in(keys[row], known, 0, len(known))
    return found


@compiled
def least(group: Ints, value: Floats, rows: Ints, count: int) -> Ints:
    """Return those of `rows` that have the `count` least values of their group, the first where values are equal.

    Group by group, and each from its least value on.
    """
    groups = 0
    for row in rows:
        groups = max(groups, group[row] + 1)
    starts = np.zeros(groups + 1, np.int64)
    for row in rows:
        starts[group[row] + 1] = min(count, starts[group[row] + 1] + 1)
    for place in range(groups):
        starts[place + 1] += starts[place]
    result, ends = np.empty(starts[groups], np.int64), starts[:-1].copy()
    for row in rows:
        mine = group[row]
        place = ends[mine]
        if place < starts[mine + 1]:
            ends[mine] += 1
        elif count and value[row] < value[result[place - 1]]:
            place -= 1
        else:
            continue
        while place > starts[mine] and value[result[place - 1]] > value[row]:
            result[place] = result[place - 1]
            place -= 1
        result[place] = row
    return result


def grouped(group: Ints) -> Ints:
    """Return the stable order by small integers, group (k,)."""
    # Short integers are sorted by their digits, several times as fast.
    short = group.astype(np.int16) if group.max(initial=0) < np.iinfo(np.int16).max else group
    return np.argsort(short, kind="stable")


def within(lengths: Ints) -> Ints:
    """Return 0..lengths[0]-1, 0..lengths[1]-1, ... in one array: places within groups of these lengths."""
    ends = lengths.cumsum()
    count = int(ends[-1]) if len(ends) else 0
    result: Ints = np.arange(count) - (ends - lengths).repeat(lengths)
    return result
