"""Re-verify a simulation from its outputs alone: a second reading of the rules, sharing no arithmetic with the world.

Everything is recomputed from the copied scenario, assignments.csv and moves.csv; what windows.csv and summary.json say
is compared with that. Findings name the file, the row and the rule.
"""

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cli.simulate.outputs import (
    ASSIGNMENT_COLUMNS,
    ASSIGNMENTS,
    COPY,
    MOVE_COLUMNS,
    MOVES,
    SUMMARY,
    WINDOW_COLUMNS,
    WINDOWS,
    Places,
    measures,
)
from cli.simulate.scenario import Scenario, read_scenario

EARTH_RADIUS_M = 6_371_008.8
# Sums of minutes in binary are exact to far less than this.
SLACK_MIN = 1e-6
FINDINGS_MAX = 1_000


class OutputsError(Exception):
    """An output cannot be read at all."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """A row of assignments.csv."""

    row: int
    decided_min: float
    partner: int
    order: int
    pickup_min: float
    dropoff_min: float


@dataclass(frozen=True, slots=True)
class Moved:
    """A row of moves.csv."""

    row: int
    partner: int
    depart_min: float
    origin: str
    target: str
    arrive_min: float


class Checker:
    """Reads everything once; `findings` is the verdict."""

    def __init__(self, out: Path) -> None:
        """Raise ScenarioError or OutputsError for files that cannot be read."""
        self.scenario: Scenario = read_scenario(out / COPY)
        self._partner = {name: index for index, name in enumerate(self.scenario.partner_ids)}
        self._order = {name: index for index, name in enumerate(self.scenario.order_ids)}
        self._places = Places(self.scenario)
        self._where = self._places.coordinates()
        self._pickups = {self._places.name("pickup", index) for index in range(len(self.scenario.pickup_ids))}
        self._place = {name: index for index, name in enumerate(self._where)}
        self.assigned = [self._assigned(row, values) for row, values in _rows(out / ASSIGNMENTS, ASSIGNMENT_COLUMNS)]
        self.moved = [self._moved(row, values) for row, values in _rows(out / MOVES, MOVE_COLUMNS)]
        self._windows = list(_rows(out / WINDOWS, WINDOW_COLUMNS))
        try:
            self._summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputsError(f"{out / SUMMARY}: cannot be read ({error}); run the simulation again") from None
        self.findings = [finding for _, finding in zip(range(FINDINGS_MAX), self._findings(), strict=False)]

    def _findings(self) -> Iterator[str]:
        yield from self._each_assignment()
        by_partner: dict[int, list[Assigned]] = defaultdict(list)
        ways: dict[int, list[Moved]] = defaultdict(list)
        for one in self.assigned:
            by_partner[one.partner].append(one)
        for way in self.moved:
            ways[way.partner].append(way)
        for partner in sorted({*by_partner, *ways}):
            yield from self._each_move(partner, ways[partner])
            yield from self._journey(partner, by_partner[partner], ways[partner])
        yield from self._each_window()
        yield from self._totals()

    def _each_assignment(self) -> Iterator[str]:
        day, seen = self.scenario.day, dict[int, int]()
        for one in self.assigned:
            at = f"{ASSIGNMENTS}: row {one.row}: "
            if one.order in seen:
                yield f"{at}the order is in row {seen[one.order]} already: an order is taken once"
            seen[one.order] = one.row
            if one.decided_min < day.placed_min[one.order]:
                yield f"{at}decided at {one.decided_min:g}, before the order was placed"
            if not day.on_min[one.partner] <= one.decided_min < day.off_min[one.partner]:
                yield f"{at}decided at {one.decided_min:g}, when the partner is off duty"
            if one.pickup_min >= day.off_min[one.partner]:
                yield f"{at}the pickup at {one.pickup_min:g} is not before the partner goes off duty"
            if one.pickup_min < day.ready_min[one.order] - SLACK_MIN:
                yield f"{at}picked up at {one.pickup_min:g}, before the goods are ready"
            if one.decided_min > one.pickup_min + SLACK_MIN:
                yield f"{at}given to a visit that had left its pickup"

    def _each_move(self, partner: int, ways: list[Moved]) -> Iterator[str]:
        here, free_min = self._places.name("partner", partner), float(self.scenario.day.on_min[partner])
        for way in ways:
            at = f"{MOVES}: row {way.row}: "
            if way.origin != here:
                yield f"{at}leaves from {way.origin}, but the partner is at {here}"
            if way.depart_min < free_min - SLACK_MIN:
                yield f"{at}leaves at {way.depart_min:g}, before it is there or on duty at {free_min:g}"
            took = self._travel_min(way.origin, way.target)
            if abs(way.depart_min + took - way.arrive_min) > SLACK_MIN:
                yield f"{at}arrives at {way.arrive_min:g}, though the way takes {took:g} minutes"
            here, free_min = way.target, way.arrive_min

    def _travel_min(self, one: str, other: str) -> float:
        (a, b), (c, d) = self._where[one], self._where[other]
        if self.scenario.settings.metric == "haversine":
            phi, theta = math.radians(a), math.radians(c)
            half = math.sin((theta - phi) / 2) ** 2
            half += math.cos(phi) * math.cos(theta) * math.sin(math.radians(d - b) / 2) ** 2
            metres = 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))
        else:
            metres = math.sqrt((a - c) ** 2 + (b - d) ** 2)
        exact = metres / self.scenario.settings.speed_m_per_min
        return math.ceil(exact) if self.scenario.settings.round_travel_to_min else exact

    def _journey(self, partner: int, assigned: list[Assigned], ways: list[Moved]) -> Iterator[str]:
        """Walk through the partner's moves, with the stops that must lie between them."""
        left = {one.order: one for one in assigned}
        drop_of = {self._places.name("order", one.order): one for one in assigned}
        board: dict[int, Assigned] = {}
        for place, way in enumerate(ways):
            at = f"{MOVES}: row {way.row}: "
            leaves_min = ways[place + 1].depart_min if place + 1 < len(ways) else math.inf
            if way.target in drop_of:
                yield from self._drop(at, board, drop_of[way.target], way, leaves_min)
                left.pop(drop_of[way.target].order, None)
            else:
                yield from self._visit(at, partner, board, list(left.values()), way, leaves_min)
        for one in [*left.values(), *board.values()]:
            yield f"{ASSIGNMENTS}: row {one.row}: no move of the partner brings the order to its door"

    def _visit(
        self, at: str, partner: int, board: dict[int, Assigned], left: list[Assigned], way: Moved, leaves_min: float
    ) -> Iterator[str]:
        day, settings = self.scenario.day, self.scenario.settings
        taken = [
            one
            for one in left
            if one.order not in board
            and self._places.name("pickup", int(day.order_pickup[one.order])) == way.target
            and way.arrive_min - SLACK_MIN <= one.pickup_min < leaves_min + SLACK_MIN
        ]
        if min((one.decided_min for one in taken), default=math.inf) > way.depart_min + SLACK_MIN:
            # Sent without an order; whatever is taken here belongs to a later move, if there is one.
            if way.target not in self._pickups:
                yield f"{at}goes to {way.target}, which is no pickup and not the door of an order that it has"
            if not day.on_min[partner] <= way.depart_min < day.off_min[partner]:
                yield f"{at}sent to {way.target} at {way.depart_min:g}, when the partner is off duty"
            if not settings.reposition:
                yield f"{at}goes to {way.target} without an order, which the scenario does not allow"
            if board:
                yield f"{at}goes to {way.target} for nothing while it has goods on board"
            return
        half = settings.pickup_service_min / 2
        goods_min = max(way.arrive_min + half, *(float(day.ready_min[one.order]) for one in taken))
        for one in taken:
            board[one.order] = one
            if abs(one.pickup_min - goods_min) > SLACK_MIN:
                yield f"{ASSIGNMENTS}: row {one.row}: picked up at {one.pickup_min:g}; the visit allows {goods_min:g}"
        if abs(leaves_min - goods_min - half) > SLACK_MIN:
            yield f"{at}leaves the pickup at {leaves_min:g}, not at {goods_min + half:g}"
        orders = list(board)
        for load, most, what in (
            (len(orders), day.parcels_max[partner], "parcels"),
            (int(day.weight_g[orders].sum()), day.weight_g_max[partner], "g"),
            (int(day.volume_cm3[orders].sum()), day.volume_cm3_max[partner], "cm3"),
        ):
            if load > most:
                yield f"{at}{load} {what} are on board, at most {most} fit"

    def _drop(self, at: str, board: dict[int, Assigned], one: Assigned, way: Moved, leaves_min: float) -> Iterator[str]:
        half = self.scenario.settings.dropoff_service_min / 2
        if board.pop(one.order, None) is None:
            yield f"{at}goes to the door of an order that is not on board"
        if abs(one.dropoff_min - way.arrive_min - half) > SLACK_MIN:
            allowed = f"the move allows {way.arrive_min + half:g}"
            yield f"{ASSIGNMENTS}: row {one.row}: dropped at {one.dropoff_min:g}; {allowed}"
        if leaves_min < way.arrive_min + 2 * half - SLACK_MIN:
            yield f"{at}leaves the door at {leaves_min:g}, before the dwell is over"

    def _each_window(self) -> Iterator[str]:
        before, moments, day = -math.inf, set[float](), self.scenario.day
        taken = Counter(one.decided_min for one in self.assigned)
        for row, values in self._windows:
            at_min, cost, bound = (_number(WINDOWS, row, values, name) for name in ("at_min", "cost", "lower_bound"))
            orders, partners = (_number(WINDOWS, row, values, name) for name in ("orders", "partners"))
            on_duty = int(((day.on_min <= at_min) & (at_min < day.off_min)).sum())
            if partners != on_duty:
                yield f"{WINDOWS}: row {row}: {partners:g} partners are said to be on duty: {on_duty} are"
            if not taken[at_min] <= orders <= (day.placed_min <= at_min).sum():
                yield f"{WINDOWS}: row {row}: {orders:g} open orders: fewer than are taken, or more than are placed"
            if at_min <= before:
                yield f"{WINDOWS}: row {row}: not after the window before it"
            if bound > cost + 1e-3 + 1e-6 * abs(cost):
                yield f"{WINDOWS}: row {row}: the lower bound {bound:g} is above the cost {cost:g}"
            before = at_min
            moments.add(at_min)
        for one in self.assigned:
            if one.decided_min not in moments:
                yield f"{ASSIGNMENTS}: row {one.row}: decided at {one.decided_min:g}, when there was no window"

    def _totals(self) -> Iterator[str]:
        n = len(self.scenario.order_ids)
        drop, goods, by = np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, dtype=np.int64)
        visits = set()
        for one in self.assigned:
            drop[one.order], goods[one.order], by[one.order] = one.dropoff_min, one.pickup_min, one.partner
            visits.add((one.partner, int(self.scenario.day.order_pickup[one.order]), one.pickup_min))
        distance_m = sum(self._distance_m(way) for way in self.moved)
        found = measures(self.scenario, drop, goods, by, len(visits), distance_m)
        for name, value in found.items():
            said = self._summary.get(name, "nothing")
            same = said == value
            if isinstance(value, float) and isinstance(said, int | float):
                same = math.isclose(said, value, rel_tol=1e-6, abs_tol=1e-5)
            if not same:
                yield f"{SUMMARY}: {name} is {said}, but the outputs give {value}"

    def _distance_m(self, way: Moved) -> float:
        day = self.scenario.day
        return float(day.distance_m(self._where[way.origin], self._where[way.target]))

    def _assigned(self, row: int, values: dict[str, str]) -> Assigned:
        return Assigned(
            row,
            _number(ASSIGNMENTS, row, values, "decided_min"),
            _known(ASSIGNMENTS, row, values, "partner_id", self._partner),
            _known(ASSIGNMENTS, row, values, "order_id", self._order),
            _number(ASSIGNMENTS, row, values, "pickup_min"),
            _number(ASSIGNMENTS, row, values, "dropoff_min"),
        )

    def _moved(self, row: int, values: dict[str, str]) -> Moved:
        _known(MOVES, row, values, "from", self._place)
        _known(MOVES, row, values, "to", self._place)
        return Moved(
            row,
            _known(MOVES, row, values, "partner_id", self._partner),
            _number(MOVES, row, values, "depart_min"),
            values["from"],
            values["to"],
            _number(MOVES, row, values, "arrive_min"),
        )


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            if tuple(next(reader, ())) != columns:
                raise OutputsError(f"{path}: row 1: the header is not {','.join(columns)}")
            for row in reader:
                if len(row) != len(columns):
                    raise OutputsError(f"{path}: row {reader.line_num}: has not {len(columns)} values")
                yield reader.line_num, dict(zip(columns, row, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OutputsError(f"{path}: cannot be read ({error}); run the simulation again") from None


def _number(file: str, row: int, values: dict[str, str], name: str) -> float:
    try:
        value = float(values[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise OutputsError(f"{file}: row {row}, column {name}: {values[name]!r} is not a number")
    return value


def _known(file: str, row: int, values: dict[str, str], name: str, known: dict[str, int]) -> int:
    if values[name] not in known:
        raise OutputsError(f"{file}: row {row}, column {name}: {values[name]!r} is not in the scenario")
    return known[values[name]]
