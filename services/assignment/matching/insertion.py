"""The cheapest feasible insertion of packages into partners' routes, vectorized over pairs.

Every place for the pickup and, not before it, for the drop is tried (Solomon 1987, doi:10.1287/opre.35.2.254, for the
insertion; Jaw et al. 1986, doi:10.1016/0191-2615(86)90020-2, for pickups with drops): the order of the stops that a
partner has already stays. The SCHEDULED_MAX shortest insertions that fit the vehicle are then timed stop by stop, with
dwells and goods that are not ready, and the best of them is kept: least extra time on the road plus lateness, of the
package and of those on board. Where a route is so short that all its insertions are timed, that is the optimum.
"""

from dataclasses import dataclass

import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import Bools, Packages, Partners, Problem
from services.assignment.matching.travel import Travel

# All insertions into a route of up to two stops.
SCHEDULED_MAX = 6
CHUNK_CELLS_MAX = 2_000_000


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


def insertions(problem: Problem, ride_m: Floats, package: Ints, partner: Ints) -> Insertion:
    """Return the cheapest insertion of each pair; `package` and `partner` are (e,) indices, ride_m is (n,)."""
    e = len(package)
    result = Insertion(
        np.zeros(e, dtype=np.int64), np.zeros(e, dtype=np.int64), *(np.full(e, np.inf) for _ in range(4))
    )
    lengths = problem.partners.routes.lengths[partner] if e else np.zeros(0, dtype=np.int64)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        cells = (length + 1) * (length + 2) // 2 + SCHEDULED_MAX * (length + 2)
        step = max(1, CHUNK_CELLS_MAX // int(cells))
        for start in range(0, len(rows), step):
            chunk = rows[start : start + step]
            found = _Group(problem, ride_m, package[chunk], partner[chunk], int(length)).best()
            for name in Insertion.__dataclass_fields__:
                getattr(result, name)[chunk] = getattr(found, name)
    return result


class _Group:
    """g pairs whose partners have `length` stops each."""

    def __init__(self, problem: Problem, ride_m: Floats, package: Ints, partner: Ints, length: int) -> None:
        self.packages: Packages = problem.packages
        self.partners: Partners = problem.partners
        self.travel: Travel = problem.travel
        self.package, self.partner, self.length = package, partner, length
        self.vehicle = self.partners.vehicle[partner]
        self.start_s = np.maximum(problem.now_s, self.partners.free_at_s[partner])
        routes = self.partners.routes
        self.stops = routes.offsets[partner][:, None] + np.arange(length)
        self.places = np.concatenate([self.partners.place[partner][:, None], routes.place[self.stops]], axis=1)
        self.ride_s = self._time_s(ride_m[package])
        self.chain_s = self._time_s(self.packages.chain_m[package]) + self.packages.chain_service_s[package]

    def _time_s(self, distance: Floats) -> Floats:
        """Return (g, ...) seconds for (g, ...) metres, at the speed of the hour in which the partner starts."""
        shape = (-1,) + (1,) * (distance.ndim - 1)
        return self.travel.time_s(distance, self.vehicle.reshape(shape), self.start_s.reshape(shape))

    def best(self) -> Insertion:
        g, length = len(self.package), self.length
        to_pickup = self._time_s(self.travel.distance_m(self.places, self.packages.pickup[self.package][:, None]))
        to_drop = self._time_s(self.travel.distance_m(self.places, self.packages.drop[self.package][:, None]))
        from_exit = self._time_s(self.travel.distance_m(self.places, self.packages.exit[self.package][:, None]))
        legs = self._time_s(self.travel.distance_m(self.places[:, :-1], self.places[:, 1:]))
        before, after = np.triu_indices(length + 1)
        extra = self._extra(to_pickup, to_drop, from_exit, legs, before, after)
        extra[~self._fits(before, after)] = np.inf
        count = min(SCHEDULED_MAX, len(before))
        # By extra time, then by position, so that every machine tries the same ones.
        tried = np.argsort(extra, axis=1, kind="stable")[:, :count]
        late_before = self._base_lateness(legs)
        rows = np.arange(g)
        timed = [
            self._timed(before[tried[:, place]], after[tried[:, place]], to_pickup, to_drop, from_exit, legs)
            for place in range(count)
        ]
        pickup_at, dropped_at, late_others = (np.stack(column, axis=1) for column in zip(*timed, strict=True))
        delay = np.maximum(0.0, late_others - late_before[:, None])
        late = np.maximum(0.0, dropped_at - self.packages.due_at_s[self.package][:, None])
        tried_extra = np.take_along_axis(extra, tried, axis=1)
        chosen = np.argmin(tried_extra + late + delay, axis=1)
        possible = np.isfinite(tried_extra[rows, chosen])

        def kept(values: Floats) -> Floats:
            return np.where(possible, values[rows, chosen], np.inf)

        picked = tried[rows, chosen]
        ride = self.ride_s + self.chain_s
        detour = np.maximum(0.0, kept(tried_extra) - ride) if length else np.where(possible, 0.0, np.inf)
        return Insertion(before[picked], after[picked], kept(pickup_at), kept(dropped_at), detour, kept(delay))

    def _extra(
        self, to_pickup: Floats, to_drop: Floats, from_exit: Floats, legs: Floats, before: Ints, after: Ints
    ) -> Floats:
        """Return (g, k): extra seconds on the road of each insertion."""
        g = len(self.package)
        # Behind the last stop there is no next one.
        leg = np.concatenate([legs, np.zeros((g, 1))], axis=1)
        next_pickup = np.concatenate([to_pickup[:, 1:], np.zeros((g, 1))], axis=1)
        next_exit = np.concatenate([from_exit[:, 1:], np.zeros((g, 1))], axis=1)
        together = to_pickup + self.ride_s[:, None] + self.chain_s[:, None] + next_exit - leg
        apart_pickup = to_pickup + next_pickup - leg
        apart_drop = to_drop + self.chain_s[:, None] + next_exit - leg
        same = before == after
        extra: Floats = np.where(same, together[:, after], apart_pickup[:, before] + apart_drop[:, after])
        return extra

    def _fits(self, before: Ints, after: Ints) -> Bools:
        """Return (g, k): whether the vehicle has room from the pickup to the drop."""
        routes, fits = self.partners.routes, np.ones((len(self.package), len(before)), dtype=bool)
        for column, left in (
            ("parcels", self.partners.parcels_left),
            ("weight_g", self.partners.weight_g_left),
            ("volume_cm3", self.partners.volume_cm3_left),
        ):
            loaded = np.cumsum(getattr(routes, column)[self.stops], axis=1)
            loaded = np.concatenate([np.zeros((len(loaded), 1), dtype=loaded.dtype), loaded], axis=1)
            peak = np.concatenate(
                [np.maximum.accumulate(loaded[:, start:], axis=1) for start in range(self.length + 1)], axis=1
            )
            fits &= getattr(self.packages, column)[self.package][:, None] + peak <= left[self.partner][:, None]
        return fits

    def _base_lateness(self, legs: Floats) -> Floats:
        """Return (g,): lateness of the route's parcels as it is."""
        routes, late = self.partners.routes, np.zeros(len(self.package))
        clock = _Clock(self.start_s)
        for place in range(self.length):
            stop = self.stops[:, place]
            done = clock.visit(
                legs[:, place], routes.service_s[stop], routes.ready_at_s[stop], routes.pickup[stop] == 1
            )
            late += np.maximum(0.0, done - routes.due_at_s[stop])
        return late

    def _timed(
        self, before: Ints, after: Ints, to_pickup: Floats, to_drop: Floats, from_exit: Floats, legs: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return (arrival at the pickup, hand-over at the drop, lateness of the others) of one insertion a pair."""
        packages, routes, rows = self.packages, self.partners.routes, np.arange(len(self.package))
        clock, late = _Clock(self.start_s), np.zeros(len(self.package))
        pickup_at, dropped_at = np.zeros(len(rows)), np.zeros(len(rows))
        for step in range(self.length + 2):
            is_pickup, is_drop = step == before, step == after + 1
            own = is_pickup | is_drop
            # Which of the route's stops is visited, and from where.
            index = np.clip(step - (step > before) - (step > after + 1), 0, max(0, self.length - 1))
            last = np.clip(step - (step > before) - (step > after + 1), 0, self.length)
            from_pickup, from_drop = step - 1 == before, step - 1 == after + 1
            if self.length:
                stop = self.stops[rows, index]
                way = np.where(
                    from_pickup, to_pickup[rows, index + 1], np.where(from_drop, from_exit[rows, index + 1], 0)
                )
                way = np.where(from_pickup | from_drop, way, legs[rows, index])
                service, ready = routes.service_s[stop], routes.ready_at_s[stop]
                picks, due = routes.pickup[stop] == 1, routes.due_at_s[stop]
            else:
                way, service, ready = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
                picks, due = np.zeros(len(rows), dtype=bool), np.full(len(rows), np.inf)
            way = np.where(is_pickup, to_pickup[rows, last], way)
            way = np.where(is_drop, np.where(from_pickup, self.ride_s, to_drop[rows, last]), way)
            service = np.where(is_pickup, packages.pickup_service_s[self.package], service)
            service = np.where(is_drop, packages.drop_service_s[self.package], service)
            ready = np.where(is_pickup, packages.ready_at_s[self.package], np.where(is_drop, -np.inf, ready))
            arrived = clock.now_s + way
            done = clock.visit(way, service, ready, np.where(own, is_pickup, picks))
            clock.now_s = clock.now_s + np.where(is_drop, self.chain_s, 0.0)
            pickup_at, dropped_at = np.where(is_pickup, arrived, pickup_at), np.where(is_drop, done, dropped_at)
            late += np.where(own, 0.0, np.maximum(0.0, done - due))
        return pickup_at, dropped_at, late


class _Clock:
    """The time at which g partners leave their last stop."""

    def __init__(self, start_s: Floats) -> None:
        self.now_s = start_s
        self._picked = np.zeros(len(start_s), dtype=bool)

    def visit(self, way_s: Floats, service_s: Floats, ready_at_s: Floats, picks: Bools) -> Floats:
        """Go to the next stop; return when its parcel changes hands, (g,)."""
        half = service_s / 2
        # A pickup where one has just picked up: the same visit goes on.
        shared = self._picked & picks & (way_s == 0)
        done = np.maximum(np.where(shared, self.now_s - half, self.now_s + way_s + half), ready_at_s)
        self.now_s, self._picked = done + half, picks
        return done
