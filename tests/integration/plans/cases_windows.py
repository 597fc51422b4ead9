"""The matcher's statements: leases, what a window reads and commits, explanations."""

from libs.ids import new_id
from tests.integration.plans.case import (
    AVERAGE,
    BATCH,
    ID_MAX,
    MATCHER,
    OPERATOR,
    PAGE,
    TENANT,
    WEEKS,
    Case,
    many,
)
from tests.integration.plans.world import BIG_CITY, SMALL_CITY, World

CITIES = [f"C{place:02}" for place in range(25)]


def _explanations(w: World) -> list[object]:
    columns = many(w.merchant, "TOO_FAR", None, "[]", "{}", 1, times=len(w.pending))
    return [w.pending, new_id(), *columns]


def _remedies(w: World) -> list[object]:
    return [new_id(), w.pending, *many("TOO_FAR", "[]", "time", times=len(w.pending))]


WINDOWS = [
    Case("assignment.windows.store.ALIVE", lambda w: [w.matcher, 6.0], 4, MATCHER),
    Case("assignment.windows.store.FORGET_DEAD", lambda w: [], 4, MATCHER),
    Case("assignment.windows.store.NEW_CITIES", lambda w: [], 25, MATCHER),
    Case("assignment.windows.store.RENEW", lambda w: [w.matcher, 6.0], 25, MATCHER),
    Case("assignment.windows.store.SHARE", lambda w: [], 30, MATCHER),
    Case("assignment.windows.store.TAKE", lambda w: [w.matcher, 6.0, 5], 60, MATCHER),
    Case("assignment.windows.store.GIVE_UP", lambda w: [w.matcher, CITIES[:5]], 25, MATCHER),
    Case("assignment.windows.store.LEAVE", lambda w: [w.matcher], 4, MATCHER),
    Case("assignment.windows.store.FENCE", lambda w: [BIG_CITY, w.matcher, 1], 25, MATCHER),
    Case("assignment.windows.store.STAY", lambda w: [w.pending, *many("TOO_FAR", 1.0, times=len(w.pending))],
         2 * BATCH, MATCHER, 2),
    Case("assignment.windows.store.EXPLAIN", _explanations, 0, MATCHER),
    Case("assignment.windows.store.RECORD_WINDOW", lambda w: [
        new_id(), BIG_CITY, w.now, 1, 1, 1, 1, 0, 1.0, 1.0, 1.0, 1.0, "[]", 0], 0, MATCHER),
    Case("assignment.windows.store.LIST_WINDOWS", lambda w: [ID_MAX, PAGE], PAGE + WEEKS),
    Case("assignment.windows.store.LIST_CITY_WINDOWS", lambda w: [ID_MAX, PAGE, SMALL_CITY], AVERAGE),
    Case("assignment.windows.store.GET_EXPLANATION", lambda w: [w.pending[0]], 2, OPERATOR, 1),
    Case("assignment.windows.store.GET_EXPLANATION", lambda w: [w.pending[0]], 2, TENANT, 1, "a merchant's"),
    Case("assignment.windows.store.WITHOUT_REMEDIES", lambda w: [w.pending], BATCH, MATCHER, 2),
    Case("assignment.windows.store.REMEDY", _remedies, BATCH, MATCHER, 2),
]  # fmt: skip
