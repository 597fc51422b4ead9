"""Which windows the search of remedies takes up, and which it skips."""

import asyncpg
import numpy as np

from libs.ids import new_id
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.match import match
from services.assignment.windows.remedy_search import RemedySearch
from services.assignment.windows.settings import MatcherSettings
from tests.unit.services.assignment.matching.problems import random_problem

DSN = "postgresql://assignment_matcher@localhost/lastmile"


async def test_what_comes_while_as_many_windows_wait_as_may_is_skipped_and_counted() -> None:
    settings = MatcherSettings(matcher_dsn=DSN, redis_url="redis://localhost", matcher_remedies_waiting_max=2)
    pool = asyncpg.create_pool(DSN)
    search, problem = RemedySearch(pool, settings), random_problem(5, 12, 4)
    result = match(problem)
    unassigned = {new_id(): (int(row), "OUTCOMPETED") for row in np.flatnonzero(result.partner == UNASSIGNED)}
    for _ in range(2):
        search.add(new_id(), problem, result, unassigned)
    assert search.skipped == 0
    search.add(new_id(), problem, result, {})
    assert search.skipped == 0, "nothing was asked for"
    search.add(new_id(), problem, result, unassigned)
    assert search.skipped == len(unassigned) > 0
