"""The matching of a window is the best there is, with and without a price for leaving out."""

from itertools import product

import numpy as np
import pytest

from services.assignment.matching.horizon.assign import UNASSIGNED, assign


def best_cost(cost: np.ndarray, left_out: np.ndarray) -> float:
    """Try everything."""
    n, m = cost.shape
    least = np.inf
    for choice in product(range(m + 1), repeat=n):
        taken = [column for column in choice if column < m]
        if len(set(taken)) == len(taken):
            least = min(least, sum(left_out[i] if c == m else cost[i, c] for i, c in enumerate(choice)))
    return least


@pytest.mark.parametrize("seed", range(25))
def test_costs_and_prices_together_are_least(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, m = int(random.integers(1, 6)), int(random.integers(1, 5))
    cost = random.integers(0, 100, (n, m)).astype(float)
    cost[random.random((n, m)) < 0.4] = np.inf
    left_out = random.integers(20, 120, n).astype(float)
    row, column = np.nonzero(np.isfinite(cost))
    matching = assign(row, column, cost[row, column], left_out)
    served = np.flatnonzero(matching.edge != UNASSIGNED)
    assert (row[matching.edge[served]] == served).all()
    assert len(set(column[matching.edge[served]])) == len(served)
    found = cost[row, column][matching.edge[served]].sum() + left_out[matching.edge == UNASSIGNED].sum()
    assert found == pytest.approx(best_cost(cost, left_out))
    assert matching.proof() == pytest.approx((found, found))


def test_without_a_price_as_many_as_possible_are_matched() -> None:
    # The cheapest pair alone would leave the other row without a column.
    row, column, cost = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1.0, 90.0, 80.0])
    matching = assign(row, column, cost, np.full(2, np.inf))
    assert matching.edge.tolist() == [1, 2]
    assert matching.proof() == (170.0, 170.0)


def test_nothing_to_match_is_an_answer() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert assign(nothing, nothing, np.empty(0), np.full(3, 5.0)).edge.tolist() == [UNASSIGNED] * 3
