"""The exceptions desk: of 40,000 discrepancies 2,535 are neither settled by runs nor resolved, and it is at 1,500."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from libs.ids import new_id
from tests.integration.plans.case import BOOKS_OPERATOR, BOOKS_READER, BOOKS_WORKER, ID_MAX, PAGE, Case
from tests.integration.plans.cases_recon import known
from tests.integration.plans.world import World

_CASES, _AUDIT, _RESOLVE, _REPEATS = (
    f"reconciliation.exceptions.{noun}store" for noun in ("", "auditing.", "resolving.", "repeats.")
)
MANY = 50
# What is not resolved, with its runs and cases.
UNRESOLVED = 10_000
_ENTRY = known("a resolution's entry")


def some() -> list[UUID]:
    return [known(f"discrepancy {number}") for number in range(1, MANY + 1)]


def page(w: World, kind: str = "", state: str = "") -> Sequence[object]:
    return [0, UUID(int=0), kind, state, w.now + timedelta(days=1), w.now - timedelta(days=9), PAGE]


DESK = [
    Case(f"{_CASES}.LOCK", lambda w: [some()], 2 * MANY, BOOKS_OPERATOR),
    Case(f"{_CASES}.GET", lambda w: [some()], 4 * MANY, BOOKS_OPERATOR),
    Case(f"{_CASES}.OF_RESOLUTION", lambda w: [known("resolution 7")], 400, BOOKS_OPERATOR),
    # A plan for any filters takes it that few are left.
    Case(f"{_CASES}.LIST", page, UNRESOLVED, BOOKS_READER),
    Case(f"{_CASES}.LIST", lambda w: page(w, "overpaid"), UNRESOLVED, BOOKS_READER, note="of a class"),
    Case(f"{_CASES}.LIST_ASSIGNED", lambda w: [*page(w), "operator 4"], UNRESOLVED, BOOKS_READER),
    Case(f"{_CASES}.SAVE", lambda w: [
        some(), ["open"] * MANY, [""] * MANY, [None] * MANY, [1] * MANY], MANY, BOOKS_OPERATOR),
    Case(f"{_CASES}.NOTE", lambda w: [some(), [1] * MANY], MANY, BOOKS_OPERATOR),
    Case(f"{_CASES}.AGES", lambda w: [w.now, [86_400.0, 259_200.0]], UNRESOLVED, BOOKS_WORKER),
    Case(f"{_CASES}.SETTLED", lambda w: [], UNRESOLVED, BOOKS_WORKER),
    Case(f"{_CASES}.SETTLE", lambda w: [some(), [1] * MANY], 2 * MANY, BOOKS_WORKER),
    Case(f"{_AUDIT}.ADD", lambda w: [w.now, "me", "comment", ["cases/1"], ["{}"]], 2, BOOKS_OPERATOR),
    Case(f"{_AUDIT}.OF_SUBJECT", lambda w: [f"cases/{known('discrepancy 7')}", 0, PAGE], 10, BOOKS_READER),
    Case(f"{_AUDIT}.PAGE", lambda w: [4_000, PAGE], PAGE, BOOKS_READER),
    Case(f"{_AUDIT}.TOLD_UNTIL", lambda w: [], 1, BOOKS_READER),
    Case(f"{_RESOLVE}.ADD", lambda w: [
        new_id(), "write_off", 1, 5, 1, "why", "me", w.now, None, None, None, ""], 0, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.GET", lambda w: [known("resolution 7")], 1, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.LIST", lambda w: [ID_MAX, PAGE], PAGE, BOOKS_READER),
    Case(f"{_RESOLVE}.LIST_PROPOSED", lambda w: [ID_MAX, PAGE], PAGE, BOOKS_READER),
    Case(f"{_RESOLVE}.DECIDE", lambda w: [
        known("resolution 10"), "approved", "other", w.now, ""], 1, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.RESOLVE", lambda w: [some()], 2 * MANY, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.SETTLE_LINES", lambda w: [
        [known("statement 1")], [3], ["unknown_delivery"], "desk", 0, -1], 10, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.SETTLE_LEGS", lambda w: [
        [known("open delivery 7")], ["payout"], ["matched"], "desk", 0, -1, None, None, False], 10, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.CORRECTED", lambda w: [[known("open delivery 7")]], 4, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.UNDONE", lambda w: [[known("open delivery 7")]], 2, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.ADD_ENTRY", lambda w: [
        _ENTRY, known("resolution 7"), some(), w.now, 0, ""], 1, BOOKS_OPERATOR),
    # The last of four versions of each.
    Case(f"{_RESOLVE}.CITIES", lambda w: [
        [known(f"partner {number}") for number in range(MANY)]], 2 * MANY, BOOKS_OPERATOR),
    Case(f"{_RESOLVE}.ENTRY_OF", lambda w: [known("resolution 7")], 1, BOOKS_READER),
    Case(f"{_REPEATS}.FIND", lambda w: ["ops:fill", "7"], 1, BOOKS_OPERATOR),
    Case(f"{_REPEATS}.STORE", lambda w: ["ops:fill", "new", b"x" * 32, b"", w.now], 0, BOOKS_OPERATOR),
    Case(f"{_REPEATS}.FORGET", lambda w: [w.now - timedelta(days=5), PAGE], 4 * PAGE, BOOKS_WORKER),
]  # fmt: skip
