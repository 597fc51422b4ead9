"""Remedies for what a window has left unassigned: sought once it has committed, and added to the explanations."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from uuid import UUID

import asyncpg

from libs.postgres.errors import UNREACHABLE
from services.assignment.matching.again import Budget
from services.assignment.matching.counterfactual import Remedies, remedies
from services.assignment.matching.match import MatchResult
from services.assignment.matching.problem import Problem
from services.assignment.windows import store
from services.assignment.windows.settings import MatcherSettings

log = logging.getLogger("matcher")


def budget_of(packages_max: int, seconds_max: float) -> Budget:
    """Return a budget that starts to run now."""
    ends_s = time.monotonic() + seconds_max
    return Budget(packages_max=packages_max, expired=lambda: time.monotonic() >= ends_s)


class RemedySearch:
    """Seeks remedies within the settings' budget; the next window of the city waits for it.

    One search at a time, so that windows always find most of the processor free: what a window skips because another
    one's search is running, the deliveries' next window finds still to be done.
    """

    def __init__(self, primary: asyncpg.Pool, settings: MatcherSettings) -> None:
        self._primary = primary
        self._settings = settings
        self._searching = False

    async def add(
        self, window_id: UUID, problem: Problem, result: MatchResult, unassigned: Mapping[UUID, tuple[int, str]]
    ) -> None:
        """Seek remedies for deliveries, by id: their rows in the problem and outcomes. What fails is only logged."""
        settings = self._settings
        if not unassigned or not settings.matcher_remedies_max or self._searching:
            return
        self._searching = True
        try:
            async with self._primary.acquire() as connection:
                wanted = await store.without_remedies(connection, list(unassigned))
            ids = [delivery_id for delivery_id in unassigned if delivery_id in wanted]
            budget = budget_of(settings.matcher_remedies_max, settings.matcher_remedies_s_max)
            rows = [unassigned[delivery_id][0] for delivery_id in ids]
            found = await asyncio.to_thread(remedies, problem, result, rows, budget)
            async with self._primary.acquire() as connection:
                await store.remedy(connection, window_id, _rows(ids, unassigned, found))
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            # The window stands; these deliveries are looked at again in their next one.
            log.warning("remedies not stored", extra={"window": str(window_id), "error": repr(error)})
        finally:
            self._searching = False


def _rows(
    ids: Sequence[UUID], unassigned: Mapping[UUID, tuple[int, str]], found: Mapping[int, Remedies]
) -> list[tuple[UUID, str, str, str]]:
    rows = []
    for delivery_id in ids:
        place, outcome = unassigned[delivery_id]
        answer = found.get(place)
        if answer is not None and answer.tried:
            shown = json.dumps([asdict(remedy) for remedy in answer.found])
            rows.append((delivery_id, outcome, shown, ",".join(answer.tried)))
    return rows
