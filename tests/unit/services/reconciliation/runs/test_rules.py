"""However a run is cut, its chunks cover every entry, delivery and bucket once."""

import itertools
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.runs.rules import BUCKETS, chunks_of, count_of, fractions, sample_mask

IDS = st.lists(st.integers(1, 1 << 120).map(lambda n: UUID(int=n)), max_size=20).map(sorted)
SINCE, UNTIL = UUID(int=0), UUID(int=1 << 125)


def test_so_many_rows_are_so_many_chunks() -> None:
    assert [count_of(rows, 10, 3) for rows in (0, 1, 10, 11, 1_000)] == [1, 1, 1, 2, 3]
    assert fractions(4) == [0.25, 0.5, 0.75]


def test_of_large_chunks_a_thousand_rows_or_more_are_looked_at() -> None:
    assert [sample_mask(rows) for rows in (0, 10, 1_999, 2_000, 50_000)] == [0, 0, 0, 1, 31]
    assert all(1_000 <= rows / (sample_mask(rows) + 1) < 2_000 for rows in range(1_000, 100_000, 77))


@given(st.integers(1, 12), IDS, IDS)
def test_chunks_cover_everything_once(count: int, entries: list[UUID], deliveries: list[UUID]) -> None:
    chunks = chunks_of(count, SINCE, UNTIL, entries[: count - 1], deliveries[: count - 1])
    assert len(chunks) == count
    assert (chunks[0].entries_from, chunks[-1].entries_until) == (SINCE, UNTIL)
    assert all(one.entries_until == next_one.entries_from for one, next_one in itertools.pairwise(chunks))
    assert (chunks[0].bucket_from, chunks[-1].bucket_until) == (0, BUCKETS)
    for probe in (*deliveries, UUID(int=0), UUID(int=(1 << 128) - 1), UUID(int=1 << 60)):
        assert sum(one.delivery_from <= probe <= one.delivery_to for one in chunks) == 1
