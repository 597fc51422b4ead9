"""One window of one city: read, match, and commit what still holds, in one transaction."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import numpy as np

from libs.ids import new_id
from services.assignment.cities.city import City
from services.assignment.cities.policies import policy_of, travel_of
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.errors import PartnerTakenError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.bundling import BundleLimits
from services.assignment.matching.explain import Explanation, PartnerCost
from services.assignment.matching.planning import Ranks
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.window_match import WindowMatch, match_window, under_pressure
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, Moved, NewOffer
from services.assignment.offers.store import transition
from services.assignment.partners.positions import Position, PositionBook
from services.assignment.routes.columns import routes_of, within_limit
from services.assignment.routes.route import Held
from services.assignment.routes.store import read_held
from services.assignment.windows import store
from services.assignment.windows.columns import packages_of, partners_of
from services.assignment.windows.remedy_search import RemedySearch
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.standing import Standing, StandingReader, partner_columns
from services.assignment.windows.store import WindowRow

log = logging.getLogger("matcher")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to commit a city's windows: checked in each commit's transaction."""

    city_code: str
    holder: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class _Read:
    """What a window has read."""

    deliveries: Sequence[asyncpg.Record]
    partners: Sequence[asyncpg.Record]
    declined: Sequence[asyncpg.Record]
    standing: Standing
    held: Sequence[Held]
    positions: Mapping[UUID, Position]
    absent: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Matched:
    """What a window read, and what the matching made of it."""

    deliveries: Sequence[asyncpg.Record]
    partners: Sequence[asyncpg.Record]
    match: WindowMatch


class WindowRunner:
    """Runs windows; large ones with the help of `solvers`, where there are any."""

    def __init__(
        self,
        primary: asyncpg.Pool,
        positions: PositionBook,
        settings: MatcherSettings,
        solvers: Executor | None = None,
    ) -> None:
        self._primary = primary
        self._positions = positions
        self._settings = settings
        self._solvers = solvers
        self._standing = StandingReader(settings)
        self.remedies = RemedySearch(primary, settings)

    async def run(self, city: City, lease: Lease) -> WindowRow | None:
        """Match what is due in the city and commit it; return the window, or None when nothing was due.

        Raises LeaseLostError, having changed nothing, when another matcher has the city by now.
        """
        settings = self._settings
        async with self._primary.acquire() as connection:
            partners = await store.read_partners(connection, city.code, settings.matcher_partners_max)
            room = max(1, settings.matcher_pairs_max // max(1, len(partners)))
            rows_max = min(city.policy.window_deliveries_max, room)
            deliveries = await store.read_deliveries(connection, city.code, rows_max)
            if not deliveries:
                return None
            absent = await store.count_absent(connection, city.code, len(partners))
            declined = await store.read_declined(connection, [row["id"] for row in deliveries])
            standing = await self._standing.read(connection, city.code, {row["merchant_id"] for row in deliveries})
            held = await read_held(connection, [row["id"] for row in partners if row["parcels_held"]])
        positions = await self._positions.read_city(city.code)
        # In a thread: numpy and the solver let the event loop go on meanwhile.
        read = _Read(deliveries, partners, declined, standing, held, positions, absent)
        matched = await asyncio.to_thread(self._match, city, read)
        window = await self._commit(city, lease, matched)
        rest = matched.match.rest
        unassigned = {
            deliveries[place]["id"]: (row, matched.match.explanations[place].outcome)
            for row, place in enumerate(rest.rows)
            if rest.result.partner[row] == UNASSIGNED
        }
        self.remedies.add(window.id, rest.problem, rest.result, unassigned)
        return window

    def _match(self, city: City, read: "_Read") -> "_Matched":
        settings, now = self._settings, datetime.now(UTC)
        problem, ranks = self._problem(city, read, now)
        limits = None
        if settings.matcher_bundle_parcels_max > 1 and under_pressure(problem, settings.matcher_bundle_pressure):
            limits = BundleLimits(parcels_max=settings.matcher_bundle_parcels_max)
        book = rule_book(problem.policy, lenient=True)
        found = match_window(problem, ranks, limits, read.absent, time.perf_counter, book=book, executor=self._solvers)
        for fault in found.book.faults:
            log.error("matching rule switched off", extra={"rule": fault.rule, "fault": str(fault)})
        return _Matched(read.deliveries, read.partners, found)

    def _problem(self, city: City, read: "_Read", now: datetime) -> tuple[Problem, Ranks]:
        settings, deliveries, partners = self._settings, read.deliveries, read.partners
        dwells_s = (settings.matcher_pickup_service_s, settings.matcher_drop_service_s)
        merchant_of = {merchant: number for number, merchant in enumerate({row["merchant_id"] for row in deliveries})}
        packages = packages_of(deliveries, partners, read.declined, merchant_of)
        pickup_s, drop_s = (np.full(len(packages), dwell_s) for dwell_s in dwells_s)
        packages = replace(packages, pickup_service_s=pickup_s, drop_service_s=drop_s)
        standing = partner_columns(partners, read.standing, merchant_of)
        routes, ranks = routes_of([row["id"] for row in partners], read.held, *dwells_s)
        stops_max = settings.matcher_route_stops_max
        on_route, ranks = within_limit(partners_of(partners, read.positions, standing), routes, ranks, stops_max)
        policy = replace(policy_of(city.policy), route_stops_max=stops_max)
        travel = travel_of(city.policy, city.time_zone, now)
        return Problem(packages, on_route, policy, travel, now.timestamp()), ranks

    async def _commit(self, city: City, lease: Lease, window: "_Matched") -> WindowRow:
        deliveries, result, explanations = window.deliveries, window.match, window.match.explanations
        started_s, now, window_id = time.perf_counter(), datetime.now(UTC), new_id()
        matched = [place for place, partner in enumerate(result.partner) if partner != UNASSIGNED]
        moves = [self._move(city, window, p, window_id, now) for p in matched]
        async with self._primary.acquire() as connection, connection.transaction():
            await store.check_fence(connection, lease.city_code, lease.holder, lease.fence)
            outcomes = await transition(connection, moves, now, moved_event)
            refused = {
                place: outcome
                for place, outcome in zip(matched, outcomes, strict=True)
                if not isinstance(outcome, Moved)
            }
            kept = [p for p in range(len(deliveries)) if p not in refused]
            await store.explain(
                connection,
                window_id,
                [_explanation_row(deliveries[p], explanations[p], window.partners) for p in kept],
            )
            staying = [
                (deliveries[p]["id"], explanations[p].reason, self._wait_s(deliveries[p]["match_attempts"]))
                for p in kept
                if result.partner[p] == UNASSIGNED
            ]
            # A partner who was faster elsewhere: matched again in the next window, and told so meanwhile.
            staying += [
                (deliveries[p]["id"], error.reason, 0.0)
                for p, error in refused.items()
                if isinstance(error, PartnerTakenError)
            ]
            await store.stay(connection, staying)
            row = WindowRow(
                id=window_id,
                city_code=city.code,
                closed_at=now,
                deliveries=len(deliveries),
                partners=len(window.partners),
                feasible_pairs=sum(explanation.partners_feasible for explanation in explanations),
                assigned=len(matched) - len(refused),
                conflicts=len(refused),
                cost_s=sum(o.offer.cost_s for o in outcomes if isinstance(o, Moved) and o.offer is not None),
                build_ms=result.build_ms,
                solve_ms=result.solve_ms,
                commit_ms=(time.perf_counter() - started_s) * 1000,
                rule_faults=json.dumps([fault.row() for fault in result.book.faults]),
                bundles=result.bundles,
            )
            await store.record_window(connection, row)
        return row

    def _move(self, city: City, window: "_Matched", place: int, window_id: UUID, now: datetime) -> Move:
        delivery, partner = window.deliveries[place], window.partners[window.match.partner[place]]
        automatic = partner["acceptance"] == "automatic"
        offer = NewOffer(
            id=new_id(),
            partner_id=partner["id"],
            window_id=window_id,
            cost_s=float(window.match.cost_s[place]),
            expires_at=None if automatic else now + timedelta(seconds=city.policy.offer_ttl_s),
            pickup_rank=float(window.match.plan.pickup_rank[place]),
            drop_rank=float(window.match.plan.drop_rank[place]),
        )
        return Move(
            delivery_id=delivery["id"],
            to_state=DeliveryState.ASSIGNED if automatic else DeliveryState.OFFERED,
            actor=Actor.MATCHER,
            new_offer=offer,
            expected_version=delivery["version"],
        )

    def _wait_s(self, attempts: int) -> float:
        doubled: float = self._settings.matcher_retry_s_min * 2 ** min(attempts, 16)
        return min(doubled, self._settings.matcher_retry_s_max)


def _explanation_row(
    delivery: asyncpg.Record, explanation: Explanation, partners: Sequence[asyncpg.Record]
) -> tuple[UUID, UUID, str, str | None, str, str, int]:
    def shown(cost: PartnerCost) -> dict[str, object]:
        return {
            "partner_id": str(partners[cost.partner]["id"]),
            "cost_s": cost.cost_s,
            "terms_s": dict(cost.terms_s),
            "pickup_distance_m": cost.pickup_distance_m,
        }

    return (
        delivery["id"],
        delivery["merchant_id"],
        explanation.outcome,
        json.dumps(shown(explanation.chosen)) if explanation.chosen else None,
        json.dumps([shown(cost) for cost in explanation.alternatives]),
        json.dumps(dict(explanation.partners_lost)),
        explanation.partners_feasible,
    )
