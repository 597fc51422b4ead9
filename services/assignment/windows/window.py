"""One window of one city: take from the picture, match, and commit what still holds."""

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from services.assignment.cities.city import City
from services.assignment.cities.policies import policy_of, travel_of
from services.assignment.errors import PositionsUnavailableError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.bundling import BundleLimits
from services.assignment.matching.planning import Ranks
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.registry import rule_book
from services.assignment.matching.window_match import match_window, under_pressure
from services.assignment.partners.positions import Position, PositionBook
from services.assignment.picture.columns import Taken, WindowLimits, packages_of, partners_of, taken
from services.assignment.picture.keeper import CityKeeper
from services.assignment.routes.columns import within_limit
from services.assignment.windows.commit import Lease, Matched, commit
from services.assignment.windows.remedy_search import RemedySearch
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.store import WindowRow

log = logging.getLogger("matcher")


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
        # Where partners were when the position book answered last.
        self._seen: dict[str, Mapping[UUID, Position]] = {}
        self.remedies = RemedySearch(primary, settings)

    async def run(self, city: City, lease: Lease, keeper: CityKeeper) -> WindowRow | None:
        """Match what is due in the city's picture and commit it; return the window, or None when nothing was due.

        What the picture did not know costs a conflict, and is read again. Raises LeaseLostError, having changed
        nothing, when another matcher has the city by now.
        """
        now_s = keeper.source.now_s()
        due = keeper.picture.due(now_s, city.policy.window_deliveries_max)
        if not due:
            return None
        await keeper.company.know_lists({delivery.merchant_id for delivery in due})
        positions = await self._where(city.code)
        window = taken(keeper.picture, keeper.company.company, self._limits(city), now_s)
        if window is None:
            return None
        # In a thread: numpy and the solver let the event loop go on meanwhile.
        matched = await asyncio.to_thread(self._match, city, window, positions)
        async with keeper.lock:
            made = await commit(self._primary, city, lease, keeper, matched, self._settings)
        rest = matched.match.rest
        unassigned = {
            window.deliveries[place].id: (row, matched.match.explanations[place].outcome)
            for row, place in enumerate(rest.rows)
            if rest.result.partner[row] == UNASSIGNED
        }
        self.remedies.add(made.id, rest.problem, rest.result, unassigned)
        return made

    def _limits(self, city: City) -> WindowLimits:
        settings = self._settings
        return WindowLimits(
            partners_max=settings.matcher_partners_max,
            pairs_max=settings.matcher_pairs_max,
            deliveries_max=city.policy.window_deliveries_max,
            pay_per_delivery_paise=settings.matcher_pay_per_delivery_paise,
            shift_s_assumed=settings.matcher_shift_s_assumed,
            pickup_service_s=settings.matcher_pickup_service_s,
            drop_service_s=settings.matcher_drop_service_s,
        )

    async def _where(self, city_code: str) -> Mapping[UUID, Position]:
        """Return where partners are; while nobody can say, where they were, as long as that is fresh."""
        try:
            self._seen[city_code] = await self._positions.read_city(city_code)
        except PositionsUnavailableError as error:
            log.warning("positions not read", extra={"city": city_code, "error": error.message})
            earliest_ms = (time.time() - self._positions.limits.age_s_max) * 1000
            known = self._seen.get(city_code, {})
            self._seen[city_code] = {i: at for i, at in known.items() if at.recorded_at_ms >= earliest_ms}
        return self._seen[city_code]

    def _match(self, city: City, window: Taken, positions: Mapping[UUID, Position]) -> "Matched":
        settings = self._settings
        problem, ranks = problem_of(city, window, positions, settings, datetime.now(UTC))
        limits = None
        if settings.matcher_bundle_parcels_max > 1 and under_pressure(problem, settings.matcher_bundle_pressure):
            limits = BundleLimits(parcels_max=settings.matcher_bundle_parcels_max)
        book = rule_book(problem.policy, lenient=True)
        found = match_window(
            problem, ranks, limits, window.absent, time.perf_counter, book=book, executor=self._solvers
        )
        for fault in found.book.faults:
            log.error("matching rule switched off", extra={"rule": fault.rule, "fault": str(fault)})
        return Matched(window, found)


def problem_of(
    city: City, window: Taken, positions: Mapping[UUID, Position], settings: MatcherSettings, now: datetime
) -> tuple[Problem, Ranks]:
    """Return a window's matching problem, and the ranks of the stops of its partners' routes."""
    packages = packages_of(window, settings.matcher_pickup_service_s, settings.matcher_drop_service_s)
    stops_max = settings.matcher_route_stops_max
    on_route, ranks = within_limit(partners_of(window, positions), window.routes, window.ranks, stops_max)
    policy = replace(policy_of(city.policy), route_stops_max=stops_max)
    travel = travel_of(city.policy, city.time_zone, now)
    return Problem(packages, on_route, policy, travel, now.timestamp()), ranks
