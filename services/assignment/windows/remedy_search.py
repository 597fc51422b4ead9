"""Remedies for what a window has left unassigned: sought once it has committed, and added to the explanations."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A window's unassigned deliveries, by id: their rows in the problem and outcomes."""

    window_id: UUID
    problem: Problem
    result: MatchResult
    unassigned: Mapping[UUID, tuple[int, str]]


class RemedySearch:
    """Seeks remedies within the settings' budget, beside the windows: none of them waits for it.

    One search at a time, so that windows always find most of the processor free. What comes while as many windows wait
    as may is skipped: its explanations say that nobody has looked, and the deliveries' next window wants it again.
    """

    def __init__(self, primary: asyncpg.Pool, settings: MatcherSettings) -> None:
        self._primary = primary
        self._settings = settings
        # Room for one more, by which the end is told.
        self._waiting: asyncio.Queue[_Wanted | None] = asyncio.Queue(settings.matcher_remedies_waiting_max + 1)
        self.skipped = 0

    def add(
        self, window_id: UUID, problem: Problem, result: MatchResult, unassigned: Mapping[UUID, tuple[int, str]]
    ) -> None:
        """Have remedies sought for deliveries, by id: their rows in the problem and outcomes; skip what is too much."""
        if not unassigned or not self._settings.matcher_remedies_max:
            return
        if self._waiting.qsize() >= self._settings.matcher_remedies_waiting_max:
            self.skipped += len(unassigned)
            log.info("remedies skipped", extra={"window": str(window_id), "skipped_in_all": self.skipped})
            return
        self._waiting.put_nowait(_Wanted(window_id, problem, result, unassigned))

    async def run(self, stop: asyncio.Event) -> None:
        """Seek what is wanted until `stop` is set; what waits then is left to the deliveries' next windows."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end(stop))
            while (wanted := await self._waiting.get()) is not None:
                await self._seek(wanted)

    async def _end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def _seek(self, wanted: _Wanted) -> None:
        """Seek remedies and add them to the explanations. What fails is only logged."""
        settings, unassigned = self._settings, wanted.unassigned
        try:
            async with self._primary.acquire() as connection:
                without = await store.without_remedies(connection, list(unassigned))
            ids = [delivery_id for delivery_id in unassigned if delivery_id in without]
            budget = budget_of(settings.matcher_remedies_max, settings.matcher_remedies_s_max)
            rows = [unassigned[delivery_id][0] for delivery_id in ids]
            found = await asyncio.to_thread(remedies, wanted.problem, wanted.result, rows, budget)
            async with self._primary.acquire() as connection:
                await store.remedy(connection, wanted.window_id, _rows(ids, unassigned, found))
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            # The window stands; these deliveries are looked at again in their next one.
            log.warning("remedies not stored", extra={"window": str(wanted.window_id), "error": repr(error)})
        except Exception:  # a bug in what comes after the windows stops none of them
            log.exception("the search of remedies fails", extra={"window": str(wanted.window_id)})


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
