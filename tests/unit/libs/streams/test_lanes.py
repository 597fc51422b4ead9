from hypothesis import given
from hypothesis import strategies as st
from lastmile.events.v1 import event_pb2

from libs.streams.codec import Event
from libs.streams.lanes import Lanes


def event(subject: str, sequence: int, stream: str = "s") -> Event:
    return Event(stream, f"{sequence}-0", b"", event_pb2.Event(id="e", type="t", subject=subject, sequence=sequence))


def spelled(events: list[Event]) -> list[str]:
    return [f"{event.subject}{event.message.sequence}" for event in events]


def test_a_batch_has_all_that_waits_of_an_aggregate_in_its_order() -> None:
    lanes = Lanes()
    for sequence in (1, 2, 3):
        lanes.put(event("a", sequence))
        lanes.put(event("b", sequence))
    assert spelled(lanes.take(4)) == ["a1", "a2", "a3", "b1"]
    assert len(lanes) == 2


def test_an_aggregate_in_hand_is_not_taken_again_until_it_is_done() -> None:
    lanes = Lanes()
    lanes.put(event("a", 1))
    assert spelled(lanes.take(10)) == ["a1"]
    lanes.put(event("a", 2))
    lanes.put(event("b", 1))
    assert spelled(lanes.take(10)) == ["b1"]
    assert not lanes.is_ready
    lanes.done(["a", "b"])
    assert spelled(lanes.take(10)) == ["a2"]


def test_dropped_streams_leave_nothing_and_open_lanes_stay_usable() -> None:
    lanes = Lanes()
    lanes.put(event("a", 1, "gone"))
    lanes.put(event("b", 1, "kept"))
    lanes.take(1)
    lanes.put(event("a", 2, "gone"))
    lanes.put(event("c", 1, "gone"))
    assert sorted(spelled(list(lanes.drop(["gone"])))) == ["a2", "c1"]
    lanes.done(["a"])
    assert spelled(lanes.take(10)) == ["b1"]
    assert len(lanes) == 0


@given(st.lists(st.sampled_from("abcde"), max_size=60), st.integers(1, 7), st.randoms(use_true_random=False))
def test_whatever_finishes_first_every_aggregate_keeps_its_order(subjects: list[str], size: int, chance) -> None:
    lanes, seen, in_hand = Lanes(), [], []
    for sequence, subject in enumerate(subjects):
        lanes.put(event(subject, sequence))
    while lanes.is_ready or in_hand:
        if lanes.is_ready and (not in_hand or chance.random() < 0.5):
            batch = lanes.take(size)
            held = {e.subject for one in in_hand for e in one}
            assert held.isdisjoint(e.subject for e in batch)
            in_hand.append(batch)
        else:
            batch = in_hand.pop(chance.randrange(len(in_hand)))
            seen += batch
            lanes.done({e.subject for e in batch})
    assert len(seen) == len(subjects)
    for subject in set(subjects):
        order = [e.message.sequence for e in seen if e.subject == subject]
        assert order == sorted(order)
