"""Small problems whose costs are written down as tables, many of them in one, and an optimum that trusts no other code.

A table's problem is a few packages and partners, each pair of which costs what the table says in whole milliseconds, or
is impossible. Any number of them stand beside each other in one problem: packages of one table cannot go to partners of
another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from services.assignment.matching.edges import Edges
from services.assignment.matching.geography import Metric
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.pickup_travel import PickupTravel
from services.assignment.matching.travel import Travel, steady

IMPOSSIBLE = np.inf
# More than any rearrangement of a small problem could save, and small enough for exact sums.
KEPT_MS = 10**9
SPEED_M_PER_S = np.array([5.0, 10.0, 4.0, 2.0, 20.0, 1.0])
# A multiple of every speed: ways along a line of such steps take whole seconds.
STEP_M, NOW_S, FAR_M = 20.0, 1_700_000_000.0, 1e6


@dataclass(frozen=True)
class Table:
    """cost_ms: (n, m), IMPOSSIBLE where masked; slots: (m,); left_out_ms: (n,), +inf where it shall be matched.

    pickup_m, place_m: (n,), (m,) places on a line; vehicle: (m,).
    """

    cost_ms: np.ndarray
    slots: np.ndarray
    left_out_ms: np.ndarray
    pickup_m: np.ndarray
    place_m: np.ndarray
    vehicle: np.ndarray

    def whole_cost_ms(self, *, ways: bool) -> np.ndarray:
        """(n, m): what a pair costs with the way to the pickup, or without."""
        way_s = np.abs(self.pickup_m[:, None] - self.place_m[None]) / SPEED_M_PER_S[self.vehicle]
        return self.cost_ms + 1000 * way_s if ways else self.cost_ms


def random_table(random: np.random.Generator, packages_max: int, partners_max: int) -> Table:
    """A table in which ties, masks, capacities of 0 to 3, prices of leaving out and empty sides are common."""
    n, m = int(random.integers(0, packages_max + 1)), int(random.integers(0, partners_max + 1))
    cost_ms = random.integers(0, random.choice([1, 3, 50, 100_000]), (n, m)).astype(float)
    cost_ms[random.random((n, m)) < random.choice([0.0, 0.3, 0.8])] = IMPOSSIBLE
    priced = random.random(n) < random.choice([0.0, 0.5, 1.0])
    # Prices among the costs, so that leaving out is as dear as a partner now and then.
    prices_ms = random.integers(0, random.choice([2, 60, 100_000]), n)
    return Table(
        cost_ms,
        random.integers(0, random.choice([2, 4]), m),
        np.where(priced, prices_ms, np.inf),
        STEP_M * random.integers(0, 40, n),
        STEP_M * random.integers(0, 40, m),
        random.integers(0, random.choice([1, len(SPEED_M_PER_S)]), m),
    )


@dataclass(frozen=True)
class CostsByTable:
    """Costs what the pair's table says; a package and a partner of different tables are impossible.

    cost_s: (tables, n, m) padded; table, row: of each package and each partner.
    """

    cost_s: np.ndarray
    package: tuple[np.ndarray, np.ndarray]
    partner: tuple[np.ndarray, np.ndarray]

    name: ClassVar[str] = "by_table"
    reason: ClassVar[str | None] = "MASKED"
    weight: ClassVar[float] = 1.0
    rank: ClassVar[int] = 1

    def __call__(self, problem: Problem, edges: Edges) -> np.ndarray:
        table, row = (of[edges.package] for of in self.package)
        other, column = (of[edges.partner] for of in self.partner)
        return np.where(table == other, self.cost_s[table, row, column], np.inf)


def beside_each_other(tables: Sequence[Table], *, ways: bool) -> tuple[Problem, RuleBook]:
    """One problem of all the tables, and its rules; with `ways`, the way to the pickup costs too."""
    counts = [np.array([t.cost_ms.shape[side] for t in tables], dtype=np.int64) for side in (0, 1)]
    owner = [np.repeat(np.arange(len(tables)), count) for count in counts]
    row = [np.concatenate([np.arange(0), *(np.arange(c) for c in count)]) for count in counts]
    cost_s = np.full((len(tables), counts[0].max(initial=0), counts[1].max(initial=0)), np.inf)
    for number, table in enumerate(tables):
        n, m = table.cost_ms.shape
        cost_s[number, :n, :m] = table.cost_ms / 1000

    def along(name: str, of: np.ndarray) -> np.ndarray:
        metres = np.concatenate([np.zeros(0), *(getattr(t, name) for t in tables)])
        return np.column_stack([metres, FAR_M * of])

    def joined(name: str, kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(getattr(t, name) for t in tables)]).astype(kind)

    pickup, place, slots = along("pickup_m", owner[0]), along("place_m", owner[1]), joined("slots", int)
    left_out_s = joined("left_out_ms", float) / 1000
    packages = Packages.of([str(i) for i in range(len(pickup))], pickup, pickup, left_out_cost_s=left_out_s)
    partners = Partners.of(
        [str(j) for j in range(len(place))], place, parcels_left=slots, vehicle=joined("vehicle", int)
    )
    by_table = CostsByTable(cost_s, (owner[0], row[0]), (owner[1], row[1]))
    rules = (Weighed(by_table, 1.0), *((Weighed(PickupTravel(), 1.0),) if ways else ()))
    travel = Travel(Metric.EUCLIDEAN, steady(SPEED_M_PER_S))
    return Problem(packages, partners, Policy(pickup_distance_m_max=FAR_M / 2), travel, NOW_S), RuleBook(rules)


def dense_optimum(cost_ms: np.ndarray, slots: np.ndarray, left_out_ms: np.ndarray) -> tuple[int, int]:
    """How many packages the best matching leaves out that have no price, and what the rest costs, in milliseconds.

    One dense matrix: a column for each slot of each partner, and one for leaving each package out.
    """
    n = len(left_out_ms)
    leave = np.full((n, n), np.inf)
    np.fill_diagonal(leave, np.where(np.isfinite(left_out_ms), left_out_ms, KEPT_MS))
    full = np.concatenate([np.repeat(cost_ms, slots, axis=1), leave], axis=1)
    taken = full[linear_sum_assignment(full)]
    return int((taken == KEPT_MS).sum()), int(taken[taken != KEPT_MS].sum())


def objective(cost_ms: np.ndarray, slots: np.ndarray, left_out_ms: np.ndarray, partner: np.ndarray) -> tuple[int, int]:
    """The same of a matching, (n,) or -1, that keeps to the slots and takes no impossible pair."""
    matched = np.flatnonzero(partner >= 0)
    assert (np.bincount(partner[matched], minlength=len(slots)) <= slots).all()
    taken_ms, left_ms = cost_ms[matched, partner[matched]], left_out_ms[partner < 0]
    assert np.isfinite(taken_ms).all()
    return int(np.isposinf(left_ms).sum()), int(taken_ms.sum() + left_ms[np.isfinite(left_ms)].sum())


def check_by_hand(
    cost_ms: np.ndarray, slots: np.ndarray, left_out_ms: np.ndarray, partner: np.ndarray, u: np.ndarray, v: np.ndarray
) -> int:
    """Weak duality, written out: prices that no pair undercuts add up to what the matching costs; return that.

    u: (n,), v: (m,) prices. In Python's integers, since 2^49 for a package left out adds up to more than floats hold.
    """
    assert (v <= 0).all()
    assert (u <= left_out_ms).all()
    able = np.flatnonzero(slots)
    assert (u[:, None] + v[able][None] <= cost_ms[:, able]).all()
    matched = np.flatnonzero(partner >= 0)
    spent_ms = sum(map(int, [*cost_ms[matched, partner[matched]], *left_out_ms[partner < 0]]))
    assert spent_ms == sum(map(int, u)) + sum(int(slots[j]) * int(v[j]) for j in able)
    return spent_ms
