"""The order of each aggregate's events under concurrency: an aggregate is in one batch at a time, or in none."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from libs.streams.codec import Event


class Lanes:
    """Events that wait, a lane for each aggregate; a lane whose events were taken stays shut until they are done."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, deque[Event]] = OrderedDict()
        self._shut: dict[str, deque[Event]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    @property
    def is_ready(self) -> bool:
        """Whether take() would return something."""
        return bool(self._ready)

    def put(self, event: Event) -> None:
        """Add an event behind those of its aggregate."""
        self._waiting += 1
        subject = event.message.subject
        lane = self._shut.get(subject)
        if lane is None:
            lane = self._ready.setdefault(subject, deque())
        lane.append(event)

    def take(self, events_max: int) -> list[Event]:
        """Return up to `events_max` events, each aggregate's in their order, and shut their lanes."""
        taken: list[Event] = []
        while self._ready and len(taken) < events_max:
            subject, lane = self._ready.popitem(last=False)
            while lane and len(taken) < events_max:
                taken.append(lane.popleft())
            self._shut[subject] = lane
        self._waiting -= len(taken)
        return taken

    def done(self, subjects: Iterable[str]) -> None:
        """Open the lanes again of aggregates whose taken events are finished with."""
        for subject in subjects:
            lane = self._shut.pop(subject, None)
            if lane:
                self._ready[subject] = lane

    def drop(self, streams: Iterable[str]) -> Iterator[Event]:
        """Remove and yield the waiting events of streams that are no longer read here."""
        gone = set(streams)
        for lanes in (self._ready, self._shut):
            for subject, lane in list(lanes.items()):
                dropped = [event for event in lane if event.stream in gone]
                if not dropped:
                    continue
                kept = [event for event in lane if event.stream not in gone]
                lane.clear()
                lane.extend(kept)
                self._waiting -= len(dropped)
                yield from dropped
                if lanes is self._ready and not lane:
                    del self._ready[subject]
