"""Packages of one partner fit as long as their loads together do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.loads import fitting
from services.assignment.matching.problem import Packages, Partners

PACKAGE = st.tuples(st.integers(-1, 2), st.integers(0, 9), st.integers(0, 3), st.integers(0, 4))


@given(st.lists(PACKAGE, max_size=12))
def test_each_partner_loads_its_cheapest_packages_first(rows: list[tuple[int, int, int, int]]) -> None:
    partner, weight_g, cash_paise, cost_ms = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    nowhere = np.zeros((len(rows), 2))
    packages = Packages.of(
        [str(i) for i in range(len(rows))], nowhere, nowhere, weight_g=weight_g, cash_on_delivery_paise=cash_paise
    )
    partners = Partners.of(
        ["a", "b", "c"],
        np.zeros((3, 2)),
        weight_g_left=np.full(3, 10),
        cash_paise_left=np.full(3, 5),
        parcels_left=np.full(3, 20),
    )
    expected = np.zeros(len(rows), dtype=bool)
    for one in range(3):
        left_g, left_paise, first = 10, 5, True
        for i in sorted(np.flatnonzero(partner == one).tolist(), key=lambda i: (cost_ms[i], i)):
            if first or (weight_g[i] <= left_g and cash_paise[i] <= left_paise):
                expected[i], first = True, False
                left_g, left_paise = left_g - weight_g[i], left_paise - cash_paise[i]
    assert UNASSIGNED == -1
    assert np.array_equal(fitting(packages, partners, partner, cost_ms.astype(np.float64)), expected)
