"""Statements, and runs over them. Deliveries and entries are spread evenly: a 256th of them is a narrow chunk."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import md5, sha256
from uuid import UUID

from libs.ids import new_id
from services.reconciliation.runs.lifecycle import NEEDED_BY_ALL, ORDER, WAITING
from tests.integration.plans.case import BOOKS_OPERATOR, BOOKS_READER, BOOKS_WORKER, PAGE, Case
from tests.integration.plans.world import World
from tests.statements import named_statements

_TELL = "reconciliation.runs.telling.store"
_STATEMENTS = "reconciliation.statements.store"
_RUNS, _COLLECT, _FIND, _JUDGE, _POST, _READ = (
    f"reconciliation.runs.{noun}store" for noun in ("", "collecting.", "finding.", "judging.", "posting.", "reading.")
)
# The open run, a closed one, a 256th of all ids and of all buckets.
OPEN, CLOSED = 20, 5
FROM, TO = UUID(int=0), UUID(int=1 << 120)
BUCKET = (0, 256)
# The rows of a chunk, of each table; the runs and chunks themselves are some hundreds.
CHUNK, PROGRESS = 600, 1_200


def known(name: str) -> UUID:
    """The id that fill_recon.sql gives to what has this name."""
    return UUID(md5(name.encode()).hexdigest())


# What HOLD_SHORT has found.
SHORT = [known(f"short {number}") for number in range(30)]


def statement(w: World) -> Sequence[object]:
    return [new_id(), "source-01", 1, "day.csv", b"x" * 32, 1, 1, 0, 1, 0, w.now, "test"]


def found(*values: object) -> Sequence[object]:
    """What the statements that look for what belongs together are given."""
    return [OPEN, 3, *BUCKET, TO, *values]


_ADD_CLOSED = named_statements()[f"{_RUNS}.ADD_RUN"].replace("NULL, NULL)", "NULL, now())")
MATCHING = [OPEN, 3, FROM, TO, FROM, TO, TO, FROM, TO]
RECON = [
    Case(f"{_STATEMENTS}.ADD_MAPPING", lambda w: ["source-01", 9, "{}", w.now, "test"], 0, BOOKS_OPERATOR),
    Case(f"{_STATEMENTS}.LAST_MAPPING", lambda w: ["source-01"], 1, BOOKS_WORKER),
    Case(f"{_STATEMENTS}.LIST_MAPPINGS", lambda w: ["source-01", 1, PAGE], PAGE, BOOKS_READER),
    Case(f"{_STATEMENTS}.SAME_FILE", lambda w: ["source-01", sha256(b"1").digest()], 40, BOOKS_WORKER),
    Case(f"{_STATEMENTS}.ADD_STATEMENT", statement, 0, BOOKS_WORKER),
    Case(f"{_STATEMENTS}.GET", lambda w: [known("statement 1")], 40, BOOKS_READER),
    Case(f"{_STATEMENTS}.LIST", lambda w: [None, PAGE], PAGE, BOOKS_READER),
    Case(f"{_STATEMENTS}.REFUSED", lambda w: [known("statement 1"), 0, PAGE], PAGE, BOOKS_READER),
    Case(f"{_RUNS}.LAST", lambda w: [], 1, BOOKS_WORKER),
    Case(f"{_RUNS}.LEFT_FROM", lambda w: [OPEN, list(NEEDED_BY_ALL)], 100, BOOKS_WORKER),
    # One is open, so this one is closed at once.
    Case(f"{_RUNS}.ADD_RUN", lambda w: [
        21, 0, 0, 0, 1, FROM, TO, w.now, w.now, "test"], 0, BOOKS_WORKER, text=_ADD_CLOSED),
    # All statements against all that are taken, of which there are some dozens.
    Case(f"{_RUNS}.ADD_STATEMENTS", lambda w: [OPEN], 100, BOOKS_WORKER),
    Case(f"{_RUNS}.COUNT_ROWS", lambda w: [OPEN, FROM, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_RUNS}.ENTRY_BOUNDS", lambda w: [FROM, TO, [0.5], 1], CHUNK, BOOKS_WORKER),
    # Every line of the open run's two statements, or every entry of its window.
    Case(f"{_RUNS}.DELIVERY_BOUNDS", lambda w: [OPEN, FROM, TO, [0.5], False, 1], 6_000, BOOKS_WORKER),
    Case(f"{_RUNS}.ADD_CHUNKS", lambda w: [OPEN, [99], [FROM], [TO], [FROM], [TO], [0], [1]], 0, BOOKS_WORKER),
    Case(f"{_RUNS}.CLAIM", lambda w: ["me", "1 second", list(WAITING), list(ORDER)], 4_000, BOOKS_WORKER),
    Case(f"{_TELL}.DUE", lambda w: [OPEN, timedelta(0)], 20, BOOKS_OPERATOR),
    Case(f"{_TELL}.STATES", lambda w: [OPEN], 40, BOOKS_WORKER),
    Case("reconciliation.runs.replaying.store.REPLAY", lambda w: [
        OPEN, [3, 4]], 100, BOOKS_OPERATOR),
    Case(f"{_RUNS}.HOLD", lambda w: [OPEN, 3, 0, list(NEEDED_BY_ALL)], PROGRESS, BOOKS_WORKER),
    Case(f"{_RUNS}.MOVE_ON", lambda w: [OPEN, 3, 0, "done", "{}", 0, None], 1, BOOKS_WORKER),
    Case(f"{_RUNS}.COLLECTED", lambda w: [OPEN, 3, 0, FROM, TO, None], 1, BOOKS_WORKER),
    Case(f"{_RUNS}.FAIL", lambda w: [OPEN, 3, 0, "1 second", "it failed", False], 1, BOOKS_WORKER),
    Case(f"{_RUNS}.TO_CLOSE", lambda w: [], PROGRESS, BOOKS_WORKER),
    Case(f"{_RUNS}.LEFT_OUT", lambda w: [OPEN, list(NEEDED_BY_ALL)], 50, BOOKS_WORKER),
    Case(f"{_RUNS}.CLOSE", lambda w: [OPEN, w.now, list(NEEDED_BY_ALL)], PROGRESS, BOOKS_WORKER),
    Case(f"{_COLLECT}.ENTRIES", lambda w: [FROM, TO, FROM, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.ADJUST", lambda w: [OPEN, FROM, TO, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.FORGET_UNDONE", lambda w: [FROM, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.BETWEEN", lambda w: [FROM, TO, 100], 100, BOOKS_WORKER),
    Case(f"{_COLLECT}.MATCH_EXACT", lambda w: MATCHING, 4 * CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.MATCH_EXACT_SCATTERED", lambda w: MATCHING[:7], 4 * CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.OPEN_LINES", lambda w: [OPEN, FROM, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.OPEN_NAMELESS", lambda w: [OPEN], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.MOVE_LINES", lambda w: [FROM, TO, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.SETTLE_LINES_IN_RANGE", lambda w: [FROM, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_COLLECT}.SETTLE_LEGS_IN_RANGE", lambda w: [OPEN, FROM, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.MATCH_NAMED", lambda w: found(0), CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.MATCH_MISTYPED", lambda w: found(0), CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.MATCH_NAMELESS", lambda w: found(0, 60), CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.MATCH_TOGETHER", lambda w: found(0, 60), CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.MATCH_SETTLED", lambda w: found(w.now, 12), 4 * CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.SETTLE_LINES", lambda w: [*BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_FIND}.SETTLE_LEGS", lambda w: [OPEN, *BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_JUDGE}.HOLD_SHORT", lambda w: [*BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_JUDGE}.CLASSIFY", lambda w: found(0, SHORT), CHUNK, BOOKS_WORKER),
    Case(f"{_JUDGE}.CALL_LINES", lambda w: [*BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_JUDGE}.CALL_LEGS", lambda w: [*BUCKET, w.now, 0], CHUNK, BOOKS_WORKER),
    Case(f"{_POST}.OF_RESULTS", lambda w: [CLOSED, 1, 0, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_POST}.OF_LINES", lambda w: [OPEN, *BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_POST}.OF_LEGS", lambda w: [OPEN, *BUCKET, 0, TO], CHUNK, BOOKS_WORKER),
    Case(f"{_POST}.SETTLE_UNDONE", lambda w: [OPEN, *BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_POST}.FORGET_ADJUSTED", lambda w: [*BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_POST}.SETTLE", lambda w: [OPEN, *BUCKET], CHUNK, BOOKS_WORKER),
    Case(f"{_READ}.GET", lambda w: [OPEN], 20, BOOKS_READER),
    Case(f"{_READ}.LIST", lambda w: [1_000, PAGE], PAGE, BOOKS_READER),
    Case(f"{_READ}.CHUNKS", lambda w: [OPEN], 40, BOOKS_READER),
    Case(f"{_READ}.TALLIES", lambda w: [OPEN], 40, BOOKS_READER),
    Case(f"{_READ}.DISCREPANCIES", lambda w: [CLOSED, "", "", FROM, PAGE], PAGE, BOOKS_READER),
    Case(f"{_READ}.DISCREPANCIES", lambda w: [
        CLOSED, "overpaid", "", FROM, PAGE], 400, BOOKS_READER, note="of a class"),
    Case(f"{_READ}.LEGS", lambda w: [known("delivery 7")], 10, BOOKS_READER),
    Case(f"{_READ}.RESULTS", lambda w: [known("delivery 7")], 2, BOOKS_READER),
    Case(f"{_READ}.LINES", lambda w: [[known("statement 1")], [7]], 1, BOOKS_READER),
    Case(f"{_READ}.OPEN_LINES", lambda w: [known("delivery 3")], 1, BOOKS_READER),
    Case(f"{_READ}.DISCREPANCIES_OF", lambda w: [known("delivery 7")], 1, BOOKS_READER),
    Case(f"{_READ}.RESULT_OF_LINE", lambda w: [known("statement 1"), 7], 1, BOOKS_READER),
]  # fmt: skip
