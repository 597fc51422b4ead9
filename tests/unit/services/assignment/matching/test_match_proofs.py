"""Thousands of random problems: each answer is the dense optimum, and its proof holds when it is checked by hand."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.assignment.matching import assignment
from services.assignment.matching.certificate import verify
from services.assignment.matching.match import match
from services.assignment.matching.pipeline import LEFT_OUT_MS
from tests.unit.services.assignment.matching.tables import (
    Table,
    beside_each_other,
    check_by_hand,
    dense_optimum,
    objective,
    random_table,
)

SEED, PROBLEMS, TABLES_A_PROBLEM = 1955, 80, 100
SINGLE_PROBLEMS = 1_500


def check(tables: list[Table], *, ways: bool) -> None:
    """Match the tables beside each other: each one's part is the optimum of its own, and proven by its own prices."""
    problem, book = beside_each_other(tables, ways=ways)
    result = match(problem, book=book)
    proof, spent_ms = result.certificate, 0
    assert result.optimal
    assert not result.book.faults
    verify(problem, book, result.partner, proof)
    rows = accumulate((len(table.left_out_ms) for table in tables), initial=0)
    columns = accumulate((len(table.slots) for table in tables), initial=0)
    for table, (start, end), (first, last) in zip(tables, pairwise(rows), pairwise(columns), strict=True):
        cost_ms, partner = table.whole_cost_ms(ways=ways), result.partner[start:end]
        assert ((partner == -1) | ((partner >= first) & (partner < last))).all(), "taken by another table's partner"
        partner = np.where(partner == -1, -1, partner - first)
        reached = objective(cost_ms, table.slots, table.left_out_ms, partner)
        assert reached == dense_optimum(cost_ms, table.slots, table.left_out_ms), table
        left_out_ms = np.minimum(table.left_out_ms, LEFT_OUT_MS)
        u, v = proof.package_ms[start:end], proof.partner_ms[first:last]
        spent_ms += check_by_hand(cost_ms, table.slots, left_out_ms, partner, u, v)
    assert spent_ms == proof.objective_ms == proof.lower_bound_ms


@pytest.mark.parametrize("ways", [False, True])
def test_eight_thousand_tables_beside_each_other_are_each_matched_at_their_optimum(ways: bool) -> None:
    random = np.random.default_rng(SEED + ways)
    for _ in range(PROBLEMS // 2):
        check([random_table(random, 7, 7) for _ in range(TABLES_A_PROBLEM)], ways=ways)


def test_larger_tables_by_themselves_whose_neighbourhoods_have_to_grow() -> None:
    random = np.random.default_rng(SEED)
    for _ in range(SINGLE_PROBLEMS):
        check([random_table(random, 12, 40)], ways=True)


@st.composite
def written_tables(draw: st.DrawFn) -> Table:
    """A table that can shrink to the smallest one that fails."""
    n, m = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    number = st.integers(0, 4)

    def column(of: st.SearchStrategy[int], count: int) -> np.ndarray:
        return np.array(draw(st.lists(of, min_size=count, max_size=count)), dtype=float)

    cost_ms, left_out_ms = column(number, n * m).reshape(n, m), column(number, n)
    cost_ms[cost_ms == 4], left_out_ms[left_out_ms == 4] = np.inf, np.inf
    slots, vehicle = column(st.integers(0, 3), m).astype(int), column(number, m).astype(int)
    return Table(cost_ms, slots, left_out_ms, 20 * column(number, n), 20 * column(number, m), vehicle)


@settings(max_examples=500)
@given(st.lists(written_tables(), max_size=3), st.booleans())
def test_the_smallest_tables_too(tables: list[Table], ways: bool) -> None:
    check(tables, ways=ways)


def test_the_answer_and_its_proof_do_not_depend_on_how_many_threads_or_processes_solve() -> None:
    random = np.random.default_rng(SEED)
    problems = [
        beside_each_other([random_table(random, 9, 9) for _ in range(TABLES_A_PROBLEM)], ways=ways)
        for ways in (False, True)
        for _ in range(3)
    ]
    alone = [match(problem, book=book) for problem, book in problems]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "LOT_EDGES", 1)
        for executor in (ThreadPoolExecutor(3), *(ProcessPoolExecutor(count) for count in (1, 2, 3))):
            with executor:
                for (problem, book), expected in zip(problems, alone, strict=True):
                    found = match(problem, book=book, executor=executor)
                    assert found.partner.tolist() == expected.partner.tolist()
                    assert found.cost_s.tolist() == expected.cost_s.tolist()
                    assert found.certificate.package_ms.tolist() == expected.certificate.package_ms.tolist()
                    assert found.certificate.partner_ms.tolist() == expected.certificate.partner_ms.tolist()


def test_a_wrong_answer_or_a_wrong_price_does_not_pass_the_check_by_hand() -> None:
    random = np.random.default_rng(SEED)
    refused = 0
    for table in (random_table(random, 6, 6) for _ in range(200)):
        problem, book = beside_each_other([table], ways=False)
        result = match(problem, book=book)
        u, v, left_out_ms = result.certificate.package_ms, result.certificate.partner_ms, result.certificate.left_out_ms
        given = (table.cost_ms, table.slots, left_out_ms)
        check_by_hand(*given, result.partner, u, v)
        for row in np.flatnonzero(result.partner >= 0)[:1]:
            dropped, dearer = result.partner.copy(), u.copy()
            dropped[row], dearer[row] = -1, u[row] + 1
            with pytest.raises(AssertionError):
                check_by_hand(*given, result.partner, dearer, v)
            if left_out_ms[row] != table.cost_ms[row, result.partner[row]]:
                with pytest.raises(AssertionError):
                    check_by_hand(*given, dropped, u, v)
                refused += 1
    assert refused > 50
