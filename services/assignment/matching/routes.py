"""What partners still have to do: the stops that are left of their routes, in the order of the visits."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.groups import within


@dataclass(frozen=True)
class Routes:
    """Partner j's remaining stops are rows offsets[j]:offsets[j+1], in the order of the visits.

    place: (s, 2). pickup: (s,) 1 where something is picked up, 0 where it is dropped. service_s: (s,) dwell, half of it
    before the parcel changes hands and half after; pickups that follow each other at one place share it. ready_at_s:
    (s,) the parcel does not change hands before this. due_at_s: (s,) when it should have changed hands, +inf where that
    does not matter. parcels, weight_g, volume_cm3: (s,) what is loaded at the stop, negative for what leaves the
    vehicle; 0 where the capacity that is left counts it already.
    """

    offsets: Ints
    place: Floats
    pickup: Ints
    service_s: Floats
    ready_at_s: Floats
    due_at_s: Floats
    parcels: Ints
    weight_g: Ints
    volume_cm3: Ints

    @classmethod
    def none(cls, partners: int) -> "Routes":
        """Return the routes of partners who have nothing to do."""
        nothing, count = np.zeros(0), np.zeros(0, dtype=np.int64)
        offsets = np.zeros(partners + 1, dtype=np.int64)
        return cls(offsets, np.zeros((0, 2)), count, nothing, nothing, nothing, count, count, count)

    @classmethod
    def of(cls, routes: Sequence["Routes"]) -> "Routes":
        """Join the routes of partners, given one by one or in groups, in their order."""
        if not routes:
            return cls.none(0)
        offsets = np.concatenate([[0], *(np.diff(route.offsets) for route in routes)]).cumsum()
        joined = {name: np.concatenate([getattr(route, name) for route in routes]) for name in COLUMNS}
        return cls(offsets.astype(np.int64), **joined)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Return (m,): how many stops each partner has left."""
        lengths: Ints = np.diff(self.offsets)
        return lengths

    def taken(self, partners: Ints) -> "Routes":
        """Return the routes of some partners, by their indices."""
        lengths = self.lengths[partners]
        rows = np.repeat(self.offsets[partners], lengths) + within(lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Routes(offsets, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def roomiest(self, left: Ints, column: str) -> Ints:
        """Return (m,): the most room that each partner has at any point of its route, from `left` at its start."""
        lengths = self.lengths
        loaded = np.concatenate([[0], np.cumsum(getattr(self, column))])
        since_start = loaded[1:] - np.repeat(loaded[self.offsets[:-1]], lengths)
        busy = np.flatnonzero(lengths)
        least = np.zeros(len(self), dtype=np.int64)
        if len(busy):
            least[busy] = np.minimum(0, np.minimum.reduceat(since_start, self.offsets[busy]))
        return left - least


COLUMNS = tuple(field.name for field in fields(Routes) if field.name != "offsets")
