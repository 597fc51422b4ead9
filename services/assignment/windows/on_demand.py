"""Matching on demand: the caller's packages and partners as columns, solved without storing anything."""

import asyncio
import time
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import numpy as np
from lastmile.assignment.v1 import assignment_pb2
from lastmile.common.v1 import geo_pb2

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError, ResourceExhaustedError
from services.assignment.cities import policies
from services.assignment.cities.city import MatchingPolicy
from services.assignment.cities.codec import policy_from
from services.assignment.deliveries.codec import VEHICLES
from services.assignment.errors import ProblemTooLargeError
from services.assignment.matching.answer import answer
from services.assignment.matching.columns import ProblemError
from services.assignment.matching.counterfactual import Remedies, remedies
from services.assignment.matching.explain import Explanation
from services.assignment.matching.geography import Floats, Ints, zone_columns
from services.assignment.matching.match import MatchResult
from services.assignment.matching.problem import NO_DUE_S, Packages, Partners, Problem
from services.assignment.matching.travel import VEHICLES as VEHICLE_NAMES
from services.assignment.matching.travel import vehicle_mask
from services.assignment.timestamps import from_timestamp
from services.assignment.windows.match_columns import package_columns, partner_columns
from services.assignment.windows.remedy_search import budget_of

_VEHICLE_INDEX = {number: VEHICLE_NAMES.index(name) for number, name in VEHICLES.items()}
_Violations = list[FieldViolation]
Solved = tuple[MatchResult, tuple[Explanation, ...], Mapping[int, Remedies]]
Table = TypeVar("Table")


class OnDemandMatcher:
    """Solves the callers' problems, a few at once."""

    def __init__(self, pairs_max: int, at_once_max: int, wait_s: float, remedies_s_max: float = 1.0) -> None:
        self._pairs_max = pairs_max
        self._remedies_s_max = remedies_s_max
        self._wait_s = wait_s
        self._slots = asyncio.Semaphore(at_once_max)

    async def match(self, request: assignment_pb2.MatchRequest, now: datetime) -> Solved:
        """Solve and explain a request, with remedies by the packages' rows if asked for.

        Raises a ServiceError that says what is wrong, or that too many are being solved.
        """
        pairs = len(request.packages) * len(request.partners)
        if pairs > self._pairs_max:
            said = f"{pairs} package-partner pairs; one call solves at most {self._pairs_max}"
            raise ProblemTooLargeError(said, metadata={"pairs": str(pairs), "pairs_max": str(self._pairs_max)})
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise ResourceExhaustedError("too many matches are being solved; try again") from None
        try:
            return await asyncio.to_thread(self._solve, request, now)
        finally:
            self._slots.release()

    def _solve(self, request: assignment_pb2.MatchRequest, now: datetime) -> Solved:
        violations: _Violations = []
        at = from_timestamp(request.at, "at", violations) if request.HasField("at") else now
        _check_ids([p.id for p in request.packages], "packages", violations)
        _check_ids([p.id for p in request.partners], "partners", violations)
        now_s = (at or now).timestamp()
        policy = policy_from(request.policy) if request.HasField("policy") else MatchingPolicy()
        violations += policies.violations_of(policy, "policy")
        if request.time_zone and request.time_zone not in zoneinfo.available_timezones():
            violations.append(FieldViolation("time_zone", "is not an IANA time zone", "time_zone.known"))
        packages, partners = _packages(request, now_s, violations), _partners(request, violations)
        if violations or packages is None or partners is None:
            raise InvalidArgumentError.of(*violations[:100])
        travel = policies.travel_of(policy, request.time_zone, at or now)
        problem = Problem(packages, partners, policies.policy_of(policy), travel, now_s)
        result, explanations = answer(problem, time.perf_counter)
        sought = np.arange(len(packages) if request.with_remedies else 0)
        found = remedies(problem, result, sought, budget_of(len(packages), self._remedies_s_max))
        return result, explanations, found


def _check_ids(ids: Sequence[str], name: str, violations: _Violations) -> None:
    seen: set[str] = set()
    for place, identifier in enumerate(ids):
        if identifier in seen:
            violations.append(FieldViolation(f"{name}[{place}].id", f"{identifier!r} stands twice", "id.unique"))
        seen.add(identifier)


def _packages(request: assignment_pb2.MatchRequest, now_s: float, violations: _Violations) -> Packages | None:
    rows = request.packages
    ready, due = np.full(len(rows), now_s), np.full(len(rows), NO_DUE_S)
    for place, row in enumerate(rows):
        if row.HasField("ready_at"):
            at = from_timestamp(row.ready_at, f"packages[{place}].ready_at", violations)
            ready[place] = at.timestamp() if at else now_s
        if row.HasField("due_at"):
            at = from_timestamp(row.due_at, f"packages[{place}].due_at", violations)
            due[place] = at.timestamp() if at else now_s
    sides = np.array(
        [(r.dimensions.length_mm, r.dimensions.width_mm, r.dimensions.height_mm) for r in rows], dtype=np.int64
    ).reshape(-1, 3)
    more = package_columns(request, now_s, violations)
    return _made(
        lambda: Packages.of(
            [row.id for row in rows],
            _places([row.pickup for row in rows]),
            _places([row.drop for row in rows]),
            weight_g=np.array([row.weight_g for row in rows], dtype=np.int64),
            volume_cm3=-(-sides.prod(axis=1) // 1000),
            side_mm=sides.max(axis=1, initial=0),
            ready_at_s=ready,
            due_at_s=due,
            vehicle_mask=np.array([vehicle_mask([VEHICLES[v] for v in row.vehicles]) for row in rows], dtype=np.int64),
            **more,
        ),
        "packages",
        violations,
    )


def _partners(request: assignment_pb2.MatchRequest, violations: _Violations) -> Partners | None:
    rows = request.partners
    starts, ends = [], []
    for place, row in enumerate(rows):
        for slot_place, slot in enumerate(row.shift_slots):
            field = f"partners[{place}].shift_slots[{slot_place}]"
            start = from_timestamp(slot.start, f"{field}.start", violations)
            end = from_timestamp(slot.end, f"{field}.end", violations)
            starts.append(start.timestamp() if start else 0.0)
            ends.append(end.timestamp() if end else 0.0)
    slot_offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row.shift_slots) for row in rows], out=slot_offsets[1:])
    zone_offsets, zone_cell, zone_precision = zone_columns([list(row.preferred_zones) for row in rows])

    def left(name: str) -> Ints:
        return np.array([getattr(row.capacity_left, name) for row in rows], dtype=np.int64)

    more = partner_columns(request, violations)
    return _made(
        lambda: Partners.of(
            [row.id for row in rows],
            _places([row.location for row in rows]),
            vehicle=np.array([_VEHICLE_INDEX[row.vehicle] for row in rows], dtype=np.int64),
            parcels_left=left("parcels_max"),
            weight_g_left=left("weight_g_max"),
            volume_cm3_left=left("volume_cm3_max"),
            side_mm_max=left("side_mm_max"),
            slot_offsets=slot_offsets,
            slot_start_s=np.array(starts, dtype=float),
            slot_end_s=np.array(ends, dtype=float),
            zone_offsets=zone_offsets,
            zone_cell=zone_cell,
            zone_precision=zone_precision,
            **more,
        ),
        "partners",
        violations,
    )


def _places(locations: Sequence[geo_pb2.Location]) -> Floats:
    """Return (rows, 2) degrees."""
    return np.array([(at.latitude_deg, at.longitude_deg) for at in locations], dtype=float).reshape(-1, 2)


def _made(make: Callable[[], Table], name: str, violations: _Violations) -> Table | None:
    try:
        return make()
    except ProblemError as error:
        field = name if error.row is None else f"{name}[{error.row}].{error.field}"
        if field not in {violation.field for violation in violations}:
            violations.append(FieldViolation(field, error.problem, "problem.column"))
        return None
