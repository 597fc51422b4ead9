"""Routes as columns: taken, joined, and how much room they leave."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.assignment.matching.geography import Metric
from services.assignment.matching.groups import within
from services.assignment.matching.routes import COLUMNS, Routes
from tests.unit.services.assignment.matching.schedules import routed_problem

seeds = st.integers(0, 2**32 - 1)


def routes_of(seed: int, partners: int) -> Routes:
    return routed_problem(seed, 0, partners, Metric.HAVERSINE, 0.0).partners.routes


def rows_of(routes: Routes, j: int) -> list[list[object]]:
    rows = range(routes.offsets[j], routes.offsets[j + 1])
    return [[getattr(routes, name)[row].tolist() for name in COLUMNS] for row in rows]


@given(seeds, st.integers(0, 6))
def test_partners_are_taken_with_their_stops_in_order(seed: int, partners: int) -> None:
    routes = routes_of(seed, partners)
    chosen = np.random.default_rng(seed).permutation(partners)[: partners // 2 + 1]
    taken = routes.taken(chosen)
    assert len(taken) == len(chosen)
    assert [rows_of(taken, place) for place in range(len(chosen))] == [rows_of(routes, j) for j in chosen]


@given(seeds, st.integers(0, 5), st.integers(0, 5))
def test_joined_routes_are_each_partners_own(seed: int, some: int, more: int) -> None:
    one, other = routes_of(seed, some), routes_of(seed + 1, more)
    joined = Routes.of([one, other])
    expected = [rows_of(one, j) for j in range(some)] + [rows_of(other, j) for j in range(more)]
    assert [rows_of(joined, j) for j in range(len(joined))] == expected
    assert len(Routes.of([])) == 0


@given(seeds, st.integers(0, 8), st.sampled_from(["parcels", "weight_g", "volume_cm3"]))
def test_the_most_room_is_where_the_least_is_loaded(seed: int, partners: int, column: str) -> None:
    routes = routes_of(seed, partners)
    left = np.random.default_rng(seed).integers(0, 9, partners)
    expected = []
    for j in range(partners):
        room = most = int(left[j])
        for row in range(routes.offsets[j], routes.offsets[j + 1]):
            room -= int(getattr(routes, column)[row])
            most = max(most, room)
        expected.append(most)
    assert routes.roomiest(left, column).tolist() == expected


@given(st.lists(st.integers(0, 5)))
def test_places_within_groups_start_at_nothing_in_each(lengths: list[int]) -> None:
    expected = [place for length in lengths for place in range(length)]
    assert within(np.array(lengths, dtype=np.int64)).tolist() == expected
