"""What is due, in order."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.assignment.picture.due_queue import DueQueue

IDS = [UUID(int=n) for n in range(6)]


@given(st.lists(st.tuples(st.sampled_from(IDS), st.one_of(st.none(), st.integers(0, 5)))), st.integers(0, 6))
def test_it_holds_what_was_put_last_and_not_dropped(acts: list[tuple[UUID, int | None]], now_s: int) -> None:
    queue, expected = DueQueue(), dict[UUID, float]()
    for identifier, at_s in acts:
        if at_s is None:
            queue.drop(identifier)
            expected.pop(identifier, None)
        else:
            queue.put(identifier, at_s)
            expected[identifier] = at_s
    ordered = sorted((at_s, identifier) for identifier, at_s in expected.items())
    due = [identifier for at_s, identifier in ordered if at_s <= now_s]
    assert queue.due(now_s, 99) == due
    assert queue.due(now_s, 1) == due[:1]
    assert (queue.count_due(now_s), len(queue)) == (len(due), len(ordered))
    assert [queue.time_s(place) for place in range(len(ordered) + 1)] == [*(at_s for at_s, _ in ordered), None]
