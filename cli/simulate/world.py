"""The world of a scenario: virtual time, what each partner does, and the rules that no decision may break.

It holds that
- an order is not known before it is placed, and is taken once;
- a partner agrees to things only while on duty, does them one after another, and takes goods only before `off_min`;
- what is on board never exceeds what the partner can carry;
- a visit may be given more from its pickup until its goods leave, and loses nothing.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from services.assignment.matching.horizon.day import Day
from services.assignment.matching.horizon.situation import Move, Policy, Situation, Take, Visit
from services.assignment.matching.horizon.trips import drop_times, goods_min, leg_min

FUTURE, OPEN, TAKEN, LOST = 0, 1, 2, 3


class RuleBrokenError(Exception):
    """A policy decided something that the world does not allow."""


@dataclass(frozen=True, slots=True)
class Repositioning:
    """A way to a pickup without an order."""

    partner: int
    pickup: int
    depart_min: float
    arrive_min: float


@dataclass(frozen=True, slots=True)
class Window:
    """One decision: what was there, what the matching behind it cost, and how long it took."""

    at_min: float
    orders: int
    partners: int
    edges: int
    cost: float
    lower_bound: float
    solve_ms: float


class World:
    """Runs one policy over one day. `decided_min` (n,) is when each order was taken, NaN if never."""

    def __init__(self, day: Day, policy: Policy) -> None:
        self.day, self._policy = day, policy
        n = len(day.placed_min)
        self.now_min = 0.0
        self.decided_min = np.full(n, np.nan)
        self.visits: list[Visit] = []
        self.repositionings: list[Repositioning] = []
        self.windows: list[Window] = []
        self._state = np.full(n, FUTURE, dtype=np.int8)
        self._free_min = day.on_min.copy()
        self._place = day.start_place.copy()
        self._last: dict[int, Visit] = {}
        self._by_placement = np.argsort(day.placed_min, kind="stable")
        self._placed = 0
        self._open: list[int] = []
        # When a partner must arrive for the goods not to wait, and when they can be at the door then.
        self._leave_by = np.maximum(day.placed_min, day.ready_min - day.pickup_service_min / 2)
        self._soonest_drop = self._leave_by + day.pickup_service_min + day.ride_min + day.dropoff_service_min / 2

    def run(self, progress: Callable[[int], None] | None = None) -> None:
        """Run until every order is taken or too late. `progress` gets how many of them are."""
        day = self.day
        wakes = self._urgent_wakes()
        last_min = float(day.latest_min.max(initial=-np.inf))
        first_min = float(day.placed_min.min(initial=np.inf))
        grid = 0
        while True:
            grid_min = first_min + grid * self._policy.window_min
            if wakes and wakes[0] <= grid_min:
                at_min = heapq.heappop(wakes)
                grid += at_min == grid_min
            else:
                at_min, grid = grid_min, grid + 1
            if at_min > last_min or not (self._open or self._placed < len(self._state)):
                break
            self._advance(at_min)
            next_min = first_min + grid * self._policy.window_min
            if self._open:
                self._decide(next_min)
            elif self._placed < len(self._state):
                # Nobody waits: go on at the window in which the next order is there.
                if day.reposition:
                    self._decide(next_min)
                else:
                    placed_min = float(day.placed_min[self._by_placement[self._placed]])
                    grid = max(grid, int(np.ceil((placed_min - first_min) / self._policy.window_min)))
            if progress:
                progress(self._placed - len(self._open))

    def _urgent_wakes(self) -> list[float]:
        day = self.day
        soon = day.ready_min - day.placed_min <= self._policy.urgent_min
        wakes: list[float] = np.unique(day.placed_min[soon]).tolist()
        heapq.heapify(wakes)
        return wakes

    def _advance(self, at_min: float) -> None:
        day, n = self.day, len(self._state)
        self.now_min = at_min
        while self._placed < n and day.placed_min[self._by_placement[self._placed]] <= at_min:
            order = int(self._by_placement[self._placed])
            self._state[order] = OPEN
            self._open.append(order)
            self._placed += 1
        chosen = np.array(self._open, dtype=np.int64)
        late = self._soonest_drop[chosen] + np.maximum(0, at_min - self._leave_by[chosen]) > day.latest_min[chosen]
        if late.any():
            self._state[chosen[late]] = LOST
            self._open = chosen[~late].tolist()
        for partner in [k for k, visit in self._last.items() if visit.goods_min <= at_min]:
            del self._last[partner]

    def _decide(self, next_min: float) -> None:
        day, now = self.day, self.now_min
        partners = np.flatnonzero((day.on_min <= now) & (now < day.off_min))
        seen = Situation(
            day, now, next_min, np.array(self._open, dtype=np.int64), partners, self._free_min.copy(),
            self._place.copy(), list(self._last.values()),
        )  # fmt: skip
        started = perf_counter()
        decided = self._policy.decide(seen)
        solve_ms = (perf_counter() - started) * 1000
        if len(seen.orders):
            self.windows.append(
                Window(now, len(seen.orders), len(partners), decided.edges, decided.cost, decided.lower_bound, solve_ms)
            )
        for take in decided.takes:
            self._take(take)
        for move in decided.moves:
            self._move(move)
        if decided.takes:
            self._open = [order for order in self._open if self._state[order] == OPEN]

    def _take(self, take: Take) -> None:
        day, partner = self.day, take.partner
        self._must_be_on_duty(partner)
        if len({int(day.order_pickup[order]) for order in take.orders}) != 1:
            raise RuleBrokenError(f"a visit is to one pickup: {take}")
        pickup = int(day.order_pickup[take.orders[0]])
        if take.more:
            visit = self._last.get(partner)
            if visit is None or visit.pickup != pickup or not set(visit.orders) < set(take.orders):
                raise RuleBrokenError(f"no visit of the partner can be given this: {take}")
            new = [order for order in take.orders if order not in visit.orders]
        else:
            depart = max(self.now_min, float(self._free_min[partner]))
            arrive = depart + float(day.travel_min(self._place[partner], day.pickup_place[pickup]))
            visit = Visit(partner, pickup, [], depart, arrive, 0.0, [], 0.0)
            new = list(take.orders)
        for order in new:
            if self._state[order] != OPEN:
                raise RuleBrokenError(f"order {order} is not open: {take}")
        self._load_must_fit(take)
        visit.orders = list(take.orders)
        self._time(visit)
        if visit.goods_min >= day.off_min[partner]:
            raise RuleBrokenError(f"the goods would be taken at {visit.goods_min}, off duty: {take}")
        for order in new:
            self._state[order] = TAKEN
            self.decided_min[order] = self.now_min
        if not take.more:
            self.visits.append(visit)
        if visit.goods_min > self.now_min:
            self._last[partner] = visit
        else:
            self._last.pop(partner, None)
        self._free_min[partner] = visit.end_min
        self._place[partner] = day.drop_place[visit.orders[-1]]

    def _time(self, visit: Visit) -> None:
        ready = max(float(self.day.ready_min[order]) for order in visit.orders)
        visit.goods_min = goods_min(self.day, visit.arrive_min, ready)
        legs = leg_min(self.day, visit.orders, visit.pickup)
        visit.drops_min, visit.end_min = drop_times(self.day, visit.goods_min, legs)

    def _move(self, move: Move) -> None:
        day, partner = self.day, move.partner
        self._must_be_on_duty(partner)
        if not day.reposition:
            raise RuleBrokenError("the scenario does not let idle partners be sent anywhere")
        if self._free_min[partner] > self.now_min:
            raise RuleBrokenError(f"partner {partner} is not idle")
        place = day.pickup_place[move.pickup]
        arrive = self.now_min + float(day.travel_min(self._place[partner], place))
        self.repositionings.append(Repositioning(partner, move.pickup, self.now_min, arrive))
        self._free_min[partner] = arrive
        self._place[partner] = place

    def _must_be_on_duty(self, partner: int) -> None:
        if not self.day.on_min[partner] <= self.now_min < self.day.off_min[partner]:
            raise RuleBrokenError(f"partner {partner} is off duty at {self.now_min}")

    def _load_must_fit(self, take: Take) -> None:
        day, chosen = self.day, list(take.orders)
        for load, limit in (
            (len(chosen), day.parcels_max[take.partner]),
            (day.weight_g[chosen].sum(), day.weight_g_max[take.partner]),
            (day.volume_cm3[chosen].sum(), day.volume_cm3_max[take.partner]),
        ):
            if load > limit:
                raise RuleBrokenError(f"{load} is more than {limit}: {take}")
