"""Which of many pairs the rules leave that only compare columns: all packages by all partners, some rows at a time."""

import numpy as np
import numpy.typing as npt

from services.assignment.matching.asking import feasible_by, sides_of
from services.assignment.matching.compiled import compiled
from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Ints
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.rules.base import Fits, Rule, broadcasts

Shorts = npt.NDArray[np.int32]

_SHORT = np.iinfo(np.int32)


class Screen:
    """Asks rules that compare columns about all pairs of packages with some partners, (k,) indices."""

    def __init__(self, problem: Problem, rules: list[Rule], partners: Ints) -> None:
        self._problem, self._partners = problem, partners
        self._others = [rule for rule in rules if broadcasts(rule) and not isinstance(rule, Fits)]
        sides = [_short(*sides_of(rule, problem)) for rule in rules if isinstance(rule, Fits)]
        n = len(problem.packages)
        self._needed = np.vstack([needed for needed, _ in sides] or [np.zeros((0, n), dtype=np.int32)])
        self._room = np.vstack([room[partners] for _, room in sides] or [np.zeros((0, len(partners)), dtype=np.int32)])

    def possible(self, packages: Ints) -> Bools:
        """Return (packages, k): the pairs that are left."""
        left = _fitting(self._needed[:, packages], self._room)
        pairs = Edges(self._problem, packages[:, None], self._partners[None])
        for rule in self._others:
            left &= feasible_by(rule, self._problem, pairs)
        return left


def _short(needed: Ints, room: Ints) -> tuple[Shorts, Shorts]:
    """Return what compares as `needed` and `room` do, in integers that are compared in half the time."""
    if needed.min(initial=0) <= _SHORT.min or needed.max(initial=0) >= _SHORT.max:
        values = np.unique(needed)
        needed, room = np.searchsorted(values, needed), np.searchsorted(values, room, side="right") - 1
    return needed.astype(np.int32), np.clip(room, _SHORT.min, _SHORT.max).astype(np.int32)


@compiled
def _fitting(needed: Shorts, room: Shorts) -> Bools:
    """Return (rows, k): where none of needed, (c, rows), is more than room, (c, k)."""
    fits = np.ones((needed.shape[1], room.shape[1]), np.bool_)
    for row in range(needed.shape[1]):
        for column in range(len(needed)):
            least = needed[column, row]
            # In a loop so simple that it becomes vector instructions.
            for k in range(room.shape[1]):
                fits[row, k] &= least <= room[column, k]
    return fits
