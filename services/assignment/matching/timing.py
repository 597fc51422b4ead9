"""Drives along partners' routes with a package put into them: when it arrives, and who becomes late by it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Packages
from services.assignment.matching.schedule import Schedule, handed_over_s


class Piece(Protocol):
    """g pairs of packages and partners, whose routes have `length` stops and start at row `first` of the schedule.

    to_pickup, to_drop, from_exit: (g, width + 1) seconds between each place of the route and the package's. ride_s,
    chain_s: (g,) from the pickup to the first drop, and from there to the end of the last.
    """

    packages: Packages
    schedule: Schedule
    package: Ints
    first: Ints
    length: Ints
    to_pickup: Floats
    to_drop: Floats
    from_exit: Floats
    ride_s: Floats
    chain_s: Floats


@dataclass(frozen=True)
class Timed:
    """Insertions, (r,) each; score_s: extra time and all lateness that an insertion brings."""

    before: Ints
    after: Ints
    extra_s: Floats
    pickup_at_s: Floats
    dropped_at_s: Floats
    delay_s: Floats
    score_s: Floats


class Timing:
    """Drives r insertions from the pickup on, as far along the routes as they make a difference."""

    def __init__(self, piece: Piece, row: Ints, before: Ints, after: Ints) -> None:
        self.piece, self.row, self.before, self.after = piece, row, before, after
        self.first, self.package = piece.first[row], piece.package[row]
        start = self.first + before
        self.now_s, self.picked = piece.schedule.leaves_s[start], piece.schedule.picks[start]
        self.gained_s = np.zeros(len(row))

    def timed(self, extra: Floats) -> Timed:
        """Return the insertions, whose extra seconds are given, with their times."""
        piece, packages, row, before, after = self.piece, self.piece.packages, self.row, self.before, self.after
        way = piece.to_pickup[row, before]
        pickup_at = self.now_s + way
        pickup_dwell, ready = packages.pickup_service_s[self.package], packages.ready_at_s[self.package]
        self._visit(slice(None), way, pickup_dwell, ready, np.ones(len(row), dtype=np.int64))
        self._pass_stops_between()
        way = np.where(before == after, piece.ride_s[row], piece.to_drop[row, after])
        drop_dwell, nothing = packages.drop_service_s[self.package], np.zeros(len(row), dtype=np.int64)
        dropped_at = self._visit(slice(None), way, drop_dwell, np.full(len(row), -np.inf), nothing)
        self.now_s += piece.chain_s[row]
        self._pass_stops_behind()
        delay = np.maximum(0.0, self.gained_s)
        late = np.maximum(0.0, dropped_at - packages.due_at_s[self.package])
        return Timed(before, after, extra, pickup_at, dropped_at, delay, extra + late + delay)

    def _pass_stops_between(self) -> None:
        some = np.flatnonzero(self.before < self.after)
        place = self.before[some] + 1
        way = self.piece.to_pickup[self.row[some], place]
        while len(some):
            self._pass(some, self.first[some] + place, way)
            going = place < self.after[some]
            some, place = some[going], place[going] + 1
            way = self.piece.schedule.leg_s[self.first[some] + place - 1]

    def _pass_stops_behind(self) -> None:
        schedule, last = self.piece.schedule, self.piece.length[self.row]
        some = np.flatnonzero(self.after < last)
        place = self.after[some] + 1
        way = self.piece.from_exit[self.row[some], place]
        while len(some):
            stop = self.first[some] + place
            later = self._pass(some, stop, way)
            late_behind = schedule.late_behind_s[stop] > 0
            matters = (later > schedule.slack_s[stop]) | ((later < 0) & late_behind)
            going = matters & (place < last[some])
            some, place = some[going], place[going] + 1
            way = schedule.leg_s[stop[going]]

    def _pass(self, some: Ints, stop: Ints, way: Floats) -> Floats:
        """Visit a stop of the route, whose row in the schedule is `stop`; return how much later than without this."""
        schedule = self.piece.schedule
        done = self._visit(some, way, schedule.service_s[stop], schedule.ready_at_s[stop], schedule.picks[stop])
        was, due = schedule.done_s[stop], schedule.due_at_s[stop]
        self.gained_s[some] += np.maximum(0.0, done - due) - np.maximum(0.0, was - due)
        return done - was

    def _visit(self, some: Ints | slice, way: Floats, service: Floats, ready: Floats, picks: Ints) -> Floats:
        """Go to the next stop; return when its parcel changes hands."""
        _, done = handed_over_s(self.now_s[some], self.picked[some], way, service, ready, picks)
        self.now_s[some], self.picked[some] = done + service / 2, picks
        return done
