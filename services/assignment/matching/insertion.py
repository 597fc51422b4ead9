"""The cheapest feasible insertion of packages into partners' routes, vectorized over pairs.

Every place for the pickup and, not before it, for the drop is tried (Solomon 1987, doi:10.1287/opre.35.2.254, for the
insertion; Jaw et al. 1986, doi:10.1016/0191-2615(86)90020-2, for pickups with drops): the order of the stops that a
partner has already stays. The SCHEDULED_MAX insertions that fit the vehicle and add least time on the road are then
timed stop by stop, with dwells and goods that are not ready, and the best of them is kept: least extra time on the road
plus lateness, of the package and of those on board. On a route so short that all its insertions are timed, that is the
optimum.
"""

from dataclasses import dataclass, fields

import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Problem

# All insertions into a route of up to two stops.
SCHEDULED_MAX = 6
CHUNK_CELLS_MAX = 500_000


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
    stop = e
    while stop > 0:
        widest = int(lengths[order[stop - 1]])
        start = max(0, stop - max(1, CHUNK_CELLS_MAX // _cells(widest)))
        if start and widest:
            # More than one piece: this one ends where routes are half as long.
            start = max(start, int(np.searchsorted(lengths[order[:stop]], widest // 2, side="right")))
        rows = order[start:stop]
        found = _Piece(problem, ride_m, package[rows], partner[rows]).best()
        for field in fields(Insertion):
            getattr(result, field.name)[rows] = getattr(found, field.name)
        stop = start
    return result


def _cells(length: int) -> int:
    return (length + 1) * (length + 2) // 2 + SCHEDULED_MAX * (length + 2)


class _Piece:
    """g pairs; each partner's route is padded to the longest one, of `width` stops."""

    def __init__(self, problem: Problem, ride_m: Floats, package: Ints, partner: Ints) -> None:
        self.packages, self.partners, self.travel = problem.packages, problem.partners, problem.travel
        self.package, self.partner = package, partner
        self.vehicle = self.partners.vehicle[partner]
        self.start_s = np.maximum(problem.now_s, self.partners.free_at_s[partner])
        routes = self.partners.routes
        self.length = routes.lengths[partner]
        self.width = int(self.length.max())
        # Behind a route's end its last row stands again, if there is any; whoever reads it throws it away.
        row = routes.offsets[partner][:, None] + np.minimum(np.arange(self.width), self.length[:, None] - 1)
        self.stop = np.clip(row, 0, max(0, len(routes.place) - 1))
        stops = routes.place[self.stop] if self.width else np.zeros((len(package), 0, 2))
        self.places = np.concatenate([self.partners.place[partner][:, None], stops], axis=1)
        self.ride_s = self._time_s(ride_m[package])
        self.chain_s = self._time_s(self.packages.chain_m[package]) + self.packages.chain_service_s[package]
        self.to_pickup, self.to_drop, self.from_exit = (
            self._time_s(self.travel.distance_m(self.places, place[package][:, None]))
            for place in (self.packages.pickup, self.packages.drop, self.packages.exit)
        )
        self.legs = self._time_s(self.travel.distance_m(self.places[:, :-1], self.places[:, 1:]))

    def _time_s(self, distance: Floats) -> Floats:
        """Return (g, ...) seconds for (g, ...) metres, at the speed of the hour in which the partner starts."""
        shape = (-1,) + (1,) * (distance.ndim - 1)
        return self.travel.time_s(distance, self.vehicle.reshape(shape), self.start_s.reshape(shape))

    def best(self) -> Insertion:
        before, after = np.triu_indices(self.width + 1)
        extra = self._extra(before, after)
        extra[~self._fits(before, after)] = np.inf
        count = min(SCHEDULED_MAX, len(before))
        # By extra time, then by position, so that every machine tries the same ones.
        tried = np.argsort(extra, axis=1, kind="stable")[:, :count]
        tried_extra = np.take_along_axis(extra, tried, axis=1)
        pickup_at, dropped_at, late_others = self._timed(before[tried], after[tried])
        delay = np.maximum(0.0, late_others - self._lateness()[:, None])
        late = np.maximum(0.0, dropped_at - self.packages.due_at_s[self.package][:, None])
        rows = np.arange(len(self.package))
        chosen = np.argmin(tried_extra + late + delay, axis=1)
        possible = np.isfinite(tried_extra[rows, chosen])

        def kept(values: Floats) -> Floats:
            return np.where(possible, values[rows, chosen], np.inf)

        detour = np.maximum(0.0, kept(tried_extra) - self.ride_s - self.chain_s)
        # Who has nothing else to do makes no detour.
        detour = np.where(possible & (self.length == 0), 0.0, detour)
        picked = tried[rows, chosen]
        return Insertion(before[picked], after[picked], kept(pickup_at), kept(dropped_at), detour, kept(delay))

    def _extra(self, before: Ints, after: Ints) -> Floats:
        """Return (g, k): extra seconds on the road of each insertion, +inf behind the route's end."""
        last = (np.arange(self.width + 1) == self.length[:, None]) | (np.arange(self.width + 1) == self.width)
        edge = np.zeros((len(self.package), 1))

        def onward(to: Floats) -> Floats:
            """Return what it takes to the stop after each place; nothing after the last one."""
            return np.where(last, 0.0, np.concatenate([to[:, 1:], edge], axis=1))

        leg = np.where(last, 0.0, np.concatenate([self.legs, edge], axis=1))
        home = self.chain_s[:, None] + onward(self.from_exit)
        together = self.to_pickup + self.ride_s[:, None] + home - leg
        pickup = self.to_pickup + onward(self.to_pickup) - leg
        drop = self.to_drop + home - leg
        extra = np.where(before == after, together[:, after], pickup[:, before] + drop[:, after])
        return np.where(after > self.length[:, None], np.inf, extra)

    def _fits(self, before: Ints, after: Ints) -> Bools:
        """Return (g, k): whether the vehicle has room from the pickup to the drop."""
        routes, fits = self.partners.routes, np.ones((len(self.package), len(before)), dtype=bool)
        for column, left in (
            ("parcels", self.partners.parcels_left),
            ("weight_g", self.partners.weight_g_left),
            ("volume_cm3", self.partners.volume_cm3_left),
        ):
            own = getattr(self.packages, column)[self.package][:, None]
            if not getattr(routes, column).any():
                fits &= own <= left[self.partner][:, None]
                continue
            loaded = np.cumsum(getattr(routes, column)[self.stop], axis=1)
            loaded = np.concatenate([np.zeros((len(loaded), 1), dtype=loaded.dtype), loaded], axis=1)
            peak = np.concatenate(
                [np.maximum.accumulate(loaded[:, start:], axis=1) for start in range(self.width + 1)], axis=1
            )
            fits &= own + peak <= left[self.partner][:, None]
        return fits

    def _lateness(self) -> Floats:
        """Return (g,): lateness of the route's parcels as it is."""
        late, clock, routes = np.zeros(len(self.package)), _Clock(self.start_s), self.partners.routes
        for place in range(self.width):
            stop = self.stop[:, place]
            done = clock.visit(
                self.legs[:, place], routes.service_s[stop], routes.ready_at_s[stop], routes.pickup[stop]
            )
            late += np.where(place < self.length, np.maximum(0.0, done - routes.due_at_s[stop]), 0.0)
        return late

    def _timed(self, before: Ints, after: Ints) -> tuple[Floats, Floats, Floats]:
        """Return (g, c) arrival at the pickup, hand-over at the drop, and lateness of the others.

        before, after: (g, c) how many of the route's stops come before the pickup and before the drop.
        """
        packages, routes, width = self.packages, self.partners.routes, self.width
        rows = np.arange(len(self.package))[:, None]
        package = self.package[:, None]
        clock, late = _Clock(self.start_s[:, None]), np.zeros(before.shape)
        pickup_at, dropped_at = np.zeros(before.shape), np.zeros(before.shape)
        for step in range(width + 2):
            is_pickup, is_drop = np.equal(before, step), np.equal(after + 1, step)
            own, from_pickup, from_drop = is_pickup | is_drop, step - 1 == before, step - 1 == after + 1
            # How many of the route's stops are behind, which is also the place that one comes from.
            done_before = np.clip(step - (step > before) - (step > after + 1), 0, width)
            way = np.where(
                is_pickup,
                self.to_pickup[rows, done_before],
                np.where(from_pickup, self.ride_s[:, None], self.to_drop[rows, done_before]),
            )
            service = np.where(is_pickup, packages.pickup_service_s[package], packages.drop_service_s[package])
            ready = np.where(is_pickup, packages.ready_at_s[package], -np.inf)
            picks, due = is_pickup.astype(np.int64), np.full(before.shape, np.inf)
            if width:
                index = np.minimum(done_before, width - 1)
                stop = self.stop[rows, index]
                onward = np.where(from_pickup, self.to_pickup[rows, index + 1], self.from_exit[rows, index + 1])
                onward = np.where(from_pickup | from_drop, onward, self.legs[rows, index])
                way, service = np.where(own, way, onward), np.where(own, service, routes.service_s[stop])
                ready, picks = np.where(own, ready, routes.ready_at_s[stop]), np.where(own, picks, routes.pickup[stop])
                due = np.where(own | (done_before >= self.length[:, None]), np.inf, routes.due_at_s[stop])
            arrived = clock.now_s + way
            done = clock.visit(way, service, ready, picks)
            clock.now_s = clock.now_s + np.where(is_drop, self.chain_s[:, None], 0.0)
            pickup_at, dropped_at = np.where(is_pickup, arrived, pickup_at), np.where(is_drop, done, dropped_at)
            late += np.maximum(0.0, done - due)
        return pickup_at, dropped_at, late


class _Clock:
    """The time at which partners leave their last stop."""

    def __init__(self, start_s: Floats) -> None:
        self.now_s = start_s
        self._picked: Ints = np.zeros(1, dtype=np.int64)

    def visit(self, way_s: Floats, service_s: Floats, ready_at_s: Floats, picks: Ints) -> Floats:
        """Go to the next stop; return when its parcel changes hands."""
        half = service_s / 2
        # A pickup where one has just picked up: the same visit goes on.
        shared: Bools = (self._picked == 1) & (picks == 1) & (way_s == 0)
        done: Floats = np.maximum(np.where(shared, self.now_s - half, self.now_s + way_s + half), ready_at_s)
        self.now_s, self._picked = done + half, picks
        return done
