"""What is done within groups is what it says, group by group."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.matching.groups import among, grouped, least

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=40)


@given(ROWS, st.integers(0, 4), st.randoms())
def test_the_least_of_each_group_come_in_their_order(rows: list[tuple[int, int]], count: int, random: object) -> None:
    group = np.array([group for group, _ in rows], dtype=np.int64)
    value = np.array([value for _, value in rows], dtype=np.float64)
    asked = np.flatnonzero(value != 3)
    expected: list[int] = []
    for one in range(6):
        mine = [row for row in asked.tolist() if group[row] == one]
        expected += sorted(mine, key=lambda row: value[row])[:count]
    assert least(group, value, asked, count).tolist() == expected


@given(st.lists(st.integers(-5, 5), max_size=20), st.lists(st.integers(-5, 5), max_size=8))
def test_what_stands_among_what_is_known_is_found(keys: list[int], known: list[int]) -> None:
    found = among(np.array(keys, dtype=np.int64), np.array(sorted(known), dtype=np.int64))
    assert found.tolist() == [key in known for key in keys]


def test_groups_of_many_stay_in_order() -> None:
    group = np.array([70_000, 1, 70_000, 1, 0])
    assert grouped(group).tolist() == [4, 1, 3, 0, 2]
