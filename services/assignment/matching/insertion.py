"""The cheapest feasible insertion of packages into partners' routes, vectorized over pairs.

Every place for the pickup and, not before it, for the drop is considered (Solomon 1987, doi:10.1287/opre.35.2.254, for
the insertion; Jaw et al. 1986, doi:10.1016/0191-2615(86)90020-2, for pickups with drops): the order of the stops that a
partner has already stays. The SCHEDULED_MAX insertions that fit the vehicle and add least time on the road compete, and
the best of them is kept: least extra time on the road plus lateness, of the package and of those on board, with dwells
and goods that are not ready. On a route so short that all its insertions compete, that is the optimum.

They are timed in the order of their extra time, until the next one's is no less than all that the best one costs: where
nobody becomes late, the first. Which that is takes time linear in the stops: extra time is the pickup's and the drop's,
so each place of the pickup goes with the cheapest drop behind it.
"""

from dataclasses import dataclass, fields

import numpy as np

from services.assignment.matching.geography import Floats, Ints, apart_m
from services.assignment.matching.problem import Bools, Problem
from services.assignment.matching.schedule import whole_ticks
from services.assignment.matching.timing import Timed, Timing

# All insertions into a route of up to two stops.
SCHEDULED_MAX = 6
CHUNK_CELLS_MAX = 100_000
# Up to so many cells, all that competes is timed at once.
TIMED_AT_ONCE_CELLS_MAX = 10_000
# So few cells go together, padded or not: pieces have their price too.
TOGETHER_CELLS_MAX = 2_000
_LOADS = (("parcels", "parcels_left"), ("weight_g", "weight_g_left"), ("volume_cm3", "volume_cm3_left"))


@dataclass(frozen=True)
class Insertion:
    """How e packages would fit into e partners' routes.

    pickup_after, drop_after: (e,) how many of the route's stops come before the pickup and before the drop.
    pickup_at_s: (e,) arrival at the pickup. dropped_at_s: (e,) when the first parcel is handed over. detour_s: (e,)
    extra time of the route, without the ride from pickup to the last drop, never negative. delay_s: (e,) lateness that
    the route's other parcels gain. All times +inf where nothing fits.
    """

    pickup_after: Ints
    drop_after: Ints
    pickup_at_s: Floats
    dropped_at_s: Floats
    detour_s: Floats
    delay_s: Floats

    def taken(self, rows: Bools | Ints) -> "Insertion":
        """Return some of the pairs'."""
        return Insertion(*(getattr(self, field.name)[rows] for field in fields(self)))


def insertions(problem: Problem, ride_m: Floats, package: Ints, partner: Ints) -> Insertion:
    """Return the cheapest insertion of each pair; `package` and `partner` are (e,) indices, ride_m is (n,)."""
    e = len(package)
    result = Insertion(
        np.zeros(e, dtype=np.int64), np.zeros(e, dtype=np.int64), *(np.full(e, np.inf) for _ in range(4))
    )
    lengths = problem.partners.routes.lengths[partner]
    # Routes of similar lengths together: a piece is as wide as its longest one.
    order = np.argsort(lengths, kind="stable")
    idle, stop = int(np.searchsorted(lengths[order], 0, side="right")), e
    while stop > 0:
        widest = int(lengths[order[stop - 1]])
        start = max(0, stop - max(1, CHUNK_CELLS_MAX // (widest + 1)))
        if stop * (widest + 1) <= TOGETHER_CELLS_MAX:
            start = idle = 0
        elif widest:
            # Who has nothing to do yet is not padded to the others' stops.
            start = max(start, idle)
        if start > idle:
            # More than one piece: this one ends where routes are half as long.
            start = max(start, int(np.searchsorted(lengths[order[:stop]], widest // 2, side="right")))
        rows = order[start:stop]
        found = _Piece(problem, ride_m, package[rows], partner[rows]).best()
        for field in fields(Insertion):
            getattr(result, field.name)[rows] = getattr(found, field.name)
        stop = start
    return result


class _Piece:
    """g pairs; each partner's route is padded to the longest one, of `width` stops."""

    def __init__(self, problem: Problem, ride_m: Floats, package: Ints, partner: Ints) -> None:
        self.problem, self.packages, self.partners = problem, problem.packages, problem.partners
        self.package, self.partner, self.schedule = package, partner, problem.schedule
        self.vehicle = self.partners.vehicle[partner]
        self.start_s = np.maximum(problem.now_s, self.partners.free_at_s[partner])
        self.first, self.length = self.schedule.first[partner], self.partners.routes.lengths[partner]
        self.width = int(self.length.max())
        self.place = np.arange(self.width + 1)
        # Behind a route's end its last place stands again.
        self.row = self.first[:, None] + np.minimum(self.place, self.length[:, None])
        self.ride_s = self._time_s(ride_m[package])
        self.chain_s = self._time_s(self.packages.chain_m[package]) + self.packages.chain_service_s[package]
        at, (pickup_m, drop_m, exit_m) = self.schedule.at[self.row], problem.embedded
        self.to_pickup, self.to_drop = self._way_s(at, pickup_m), self._way_s(at, drop_m)
        parted = (exit_m[package] != drop_m[package]).any()
        self.from_exit = self._way_s(at, exit_m) if parted else self.to_drop
        self._weigh()

    def _time_s(self, distance: Floats) -> Floats:
        """Return (g, ...) seconds for (g, ...) metres, at the speed of the hour in which the partner starts."""
        shape = (-1,) + (1,) * (distance.ndim - 1)
        return whole_ticks(
            self.problem.travel.time_s(distance, self.vehicle.reshape(shape), self.start_s.reshape(shape))
        )

    def _way_s(self, at: Floats, places: Floats) -> Floats:
        return self._time_s(apart_m(self.problem.travel.metric, at, places[self.package][:, None]))

    def _weigh(self) -> None:
        """Set the extra seconds, (g, width + 1), of pickups and of drops behind each place, and of both together."""
        last = self.place >= self.length[:, None]
        edge = np.zeros((len(self.package), 1))

        def onward(to: Floats) -> Floats:
            """Return what it takes to the stop after each place; nothing after the last one."""
            return np.where(last, 0.0, np.concatenate([to[:, 1:], edge], axis=1))

        leg = self.schedule.leg_s[self.row]
        home = self.chain_s[:, None] + onward(self.from_exit)
        behind = self.place > self.length[:, None]
        self.together = np.where(behind, np.inf, self.to_pickup + self.ride_s[:, None] + home - leg)
        self.picking = self.to_pickup + onward(self.to_pickup) - leg
        self.dropping = np.where(behind, np.inf, self.to_drop + home - leg)
        loads = [name for name, _ in _LOADS if getattr(self.partners.routes, name).any()]
        self.loading = bool(loads)
        fits = np.ones(len(self.package), dtype=bool)
        for name, left in _LOADS:
            if name not in loads:
                fits &= getattr(self.packages, name)[self.package] <= getattr(self.partners, left)[self.partner]
        self.together[~fits], self.dropping[~fits] = np.inf, np.inf

    def best(self) -> Insertion:
        """Return each pair's best insertion."""
        every, least = np.arange(len(self.package)), self._least()
        before = np.argmin(least, axis=1)
        extras = self._extras(every, before)
        after = np.argmin(extras, axis=1)
        found = self._timed(every, before, after, extras[every, after])
        # Where nobody is late, no insertion with more extra time can be better.
        late = np.flatnonzero(found.score_s > found.extra_s)
        if len(late):
            self._compete(found, late, least[late])
        possible = np.isfinite(found.extra_s)

        def kept(values: Floats) -> Floats:
            return np.where(possible, values, np.inf)

        detour = np.maximum(0.0, kept(found.extra_s) - self.ride_s - self.chain_s)
        # Who has nothing else to do makes no detour.
        detour = np.where(possible & (self.length == 0), 0.0, detour)
        return Insertion(
            found.before, found.after, kept(found.pickup_at_s), kept(found.dropped_at_s), detour, kept(found.delay_s)
        )

    def _compete(self, found: "Timed", rows: Ints, least: Floats) -> None:
        """Put better insertions in the place of those found for some rows; least: (rows, width + 1) as of _least()."""
        # The least SCHEDULED_MAX of all insertions are among those of as many pickups.
        before = np.sort(np.argsort(least, axis=1, kind="stable")[:, :SCHEDULED_MAX], axis=1)
        pickups, places = before.shape[1], self.width + 1
        extras = self._extras(np.repeat(rows, pickups), before.ravel()).reshape(len(rows), pickups * places)
        if len(rows) * places <= TIMED_AT_ONCE_CELLS_MAX:
            self._compete_at_once(found, rows, before, extras)
            return
        cell = np.argmin(extras, axis=1)
        for _ in range(SCHEDULED_MAX - 1):
            # By extra time, then by position, so that every machine tries the same ones.
            extras[np.arange(len(rows)), cell] = np.inf
            cell = np.argmin(extras, axis=1)
            extra = extras[np.arange(len(rows)), cell]
            going = extra < found.score_s[rows]
            rows, before, extras, cell, extra = rows[going], before[going], extras[going], cell[going], extra[going]
            if not len(rows):
                return
            pickup, after = np.divmod(cell, places)
            tried = self._timed(rows, before[np.arange(len(rows)), pickup], after, extra)
            better = tried.score_s < found.score_s[rows]
            for field in fields(Timed):
                getattr(found, field.name)[rows[better]] = getattr(tried, field.name)[better]

    def _compete_at_once(self, found: "Timed", rows: Ints, before: Ints, extras: Floats) -> None:
        """Do the same with all that compete at the same time: of a few rows, one by one would take longer."""
        # The first one is found already.
        cells = np.argsort(extras, axis=1, kind="stable")[:, 1:SCHEDULED_MAX]
        place, column = np.nonzero(np.take_along_axis(extras, cells, axis=1) < found.score_s[rows][:, None])
        if not len(place):
            return
        cell = cells[place, column]
        pickup, after = np.divmod(cell, self.width + 1)
        tried = self._timed(rows[place], before[place, pickup], after, extras[place, cell])
        # By score, then by extra time and position: the first of each row.
        order = np.lexsort((column, tried.score_s, place))
        first = order[np.unique(place[order], return_index=True)[1]]
        better = first[tried.score_s[first] < found.score_s[rows[place[first]]]]
        for field in fields(Timed):
            getattr(found, field.name)[rows[place[better]]] = getattr(tried, field.name)[better]

    def _least(self) -> Floats:
        """Return (g, width + 1): the extra seconds of each place for the pickup with the best one for the drop."""
        if self.loading:
            every = np.arange(len(self.package))
            return np.stack([self._extras(every, np.full(len(every), b)).min(axis=1) for b in self.place], axis=1)
        behind = np.full_like(self.dropping, np.inf)
        for place in range(self.width - 1, -1, -1):
            behind[:, place] = np.minimum(behind[:, place + 1], self.dropping[:, place + 1])
        return np.minimum(self.together, self.picking + behind)

    def _extras(self, row: Ints, before: Ints) -> Floats:
        """Return (r, width + 1): extra seconds of the pickups of some rows with each place for the drop."""
        extra = np.where(self.place > before[:, None], self.picking[row, before][:, None] + self.dropping[row], np.inf)
        extra[np.arange(len(row)), before] = self.together[row, before]
        if self.loading:
            extra[~self._fits(row, before)] = np.inf
        return extra

    def _fits(self, row: Ints, before: Ints) -> Bools:
        """Return (r, width + 1): whether the vehicle has room from the pickup to each place for the drop."""
        routes, fits = self.partners.routes, np.ones((len(row), self.width + 1), dtype=bool)
        stop = self.row[row, 1:] - self.partner[row][:, None] - 1
        for name, left in _LOADS:
            own = getattr(self.packages, name)[self.package[row]][:, None]
            loaded = np.zeros(fits.shape, dtype=np.int64)
            np.cumsum(getattr(routes, name)[np.maximum(stop, 0)], axis=1, out=loaded[:, 1:])
            loaded[self.place < before[:, None]] = np.iinfo(np.int64).min // 2
            fits &= (
                own + np.maximum.accumulate(loaded, axis=1) <= getattr(self.partners, left)[self.partner[row]][:, None]
            )
        return fits

    def _timed(self, row: Ints, before: Ints, after: Ints, extra: Floats) -> "Timed":
        """Return what becomes of some rows, (r,), with the pickup and the drop behind `before` and `after` stops."""
        return Timing(self, row, before, after).timed(extra)
