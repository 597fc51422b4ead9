"""Settlements. Entries are spread evenly: a 256th of them is a narrow piece."""

from datetime import timedelta

from libs.ids import floor_at, new_id
from tests.integration.plans.case import BOOKS_OPERATOR, BOOKS_READER, BOOKS_WORKER, PAGE, Case
from tests.integration.plans.cases_recon import FROM, TO, known

_MAIN, _CLOSE, _READ, _HOLD, _PAY, _BOOK = (
    f"reconciliation.settlements.{noun}store"
    for noun in ("", "closing.", "reading.", "holds.", "payouts.", "payments.")
)
# The open cycle, a closed one; the runs, cycles and batches themselves are some dozens.
OPEN, CLOSED = 31, 5
FEW = 100
PARTNER, ENTRY = f"partner:{known('partner 11')}", known("entry 11")
PARTIES = [f"partner:{known(f'partner {number}')}" for number in range(100)]
# A piece of closing.
PIECE = 600

SETTLEMENTS = [
    Case(f"{_MAIN}.LAST", lambda w: [""], FEW, BOOKS_WORKER),
    Case(f"{_MAIN}.LAST_NO", lambda w: [], 1, BOOKS_WORKER),
    Case(f"{_MAIN}.ADD_CYCLE", lambda w: [
        99, "X", None, w.now - timedelta(days=1), w.now, FROM, TO, ["X"], "gather", w.now, "test"], 1, BOOKS_WORKER),
    Case(f"{_MAIN}.HOLD_OPEN", lambda w: [[0, 99]], FEW, BOOKS_WORKER),
    Case(f"{_MAIN}.MOVE_ON", lambda w: [OPEN, "top_up", "", None], FEW, BOOKS_WORKER),
    Case(f"{_MAIN}.FAILED", lambda w: [OPEN, "why"], FEW, BOOKS_WORKER),
    Case(f"{_MAIN}.ADD_ENTRIES", lambda w: [
        [new_id()], ["guarantee"], [new_id()], ["{" + str(new_id()) + "}"], [""], [None], [None], [None], [None],
        [w.now], w.now, [0]], 1, BOOKS_WORKER),
    Case(f"{_MAIN}.ADD_POSTINGS", lambda w: [
        [known("entry 2")], [9], [9], ["tax:gst"], ["gst"], [5], [None], w.now], 0, BOOKS_WORKER),
    Case(f"{_BOOK}.NEXT", lambda w: [], FEW, BOOKS_WORKER),
    # Every line that a run has settled.
    Case(f"{_BOOK}.PAID_IN_RUN", lambda w: [CLOSED], 12_000, BOOKS_WORKER),
    Case(f"{_BOOK}.ADD_PAYMENTS", lambda w: [
        18, [known("entry 1")], ["partner:x"], ["payout"], [5]], 1, BOOKS_WORKER),
    Case(f"{_BOOK}.BOOKED", lambda w: [19, w.now], 0, BOOKS_WORKER),
    Case(f"{_BOOK}.PAYMENT", lambda w: [known("payment 7")], FEW, BOOKS_READER),
    Case(f"{_BOOK}.LINES_OF", lambda w: [CLOSED, PARTNER, "payout"], 12_000, BOOKS_READER),
    Case(f"{_CLOSE}.PIECE_END", lambda w: [FROM, TO, 20], PIECE, BOOKS_WORKER),
    Case(f"{_CLOSE}.GATHER", lambda w: [OPEN, FROM, TO, "", []], PIECE, BOOKS_WORKER),
    Case(f"{_CLOSE}.SHOWN", lambda w: [], 500, BOOKS_WORKER),
    # Each partner once, of which there are four versions.
    Case(f"{_CLOSE}.PARTNERS", lambda w: [FROM, 100], 4 * PAGE, BOOKS_WORKER),
    Case(f"{_CLOSE}.DUTIES", lambda w: [
        CLOSED, [known(f"partner {number}") for number in range(100)], w.now - timedelta(days=19), w.now, "", []],
        20 * PAGE, BOOKS_WORKER),
    Case(f"{_CLOSE}.ADD_TOP_UPS", lambda w: [
        OPEN, [known("entry 7")], [known("partner 7")], [1], [0], [5], [5]], 2, BOOKS_WORKER),
    Case(f"{_CLOSE}.PARTIES", lambda w: [OPEN, OPEN - 1, "", 100], 4 * PAGE, BOOKS_WORKER),
    Case(f"{_CLOSE}.STATE", lambda w: [OPEN, PARTIES, "form"], 2_000, BOOKS_WORKER),
    Case(f"{_READ}.CYCLE", lambda w: [CLOSED], FEW, BOOKS_READER),
    Case(f"{_READ}.CYCLES", lambda w: [1_000, PAGE], PAGE, BOOKS_READER),
    Case(f"{_READ}.SUMMARY", lambda w: [CLOSED], 1_000, BOOKS_READER),
    Case(f"{_READ}.STATEMENTS", lambda w: [CLOSED, "", PAGE], PAGE, BOOKS_READER),
    Case(f"{_READ}.STATEMENT", lambda w: [CLOSED, PARTNER], 1, BOOKS_READER),
    Case(f"{_READ}.LINES", lambda w: [
        CLOSED, f"merchant:{known('merchant 7')}", FROM, PAGE], 2 * PAGE, BOOKS_READER),
    Case(f"{_READ}.CHARGES", lambda w: [CLOSED, f"merchant:{known('merchant 7')}"], 2 * PAGE, BOOKS_READER),
    Case(f"{_READ}.LINE", lambda w: [ENTRY, PARTNER], 2, BOOKS_READER),
    Case(f"{_READ}.POSTINGS", lambda w: [ENTRY], 4, BOOKS_READER),
    Case(f"{_READ}.TOP_UP", lambda w: [known("top-up 7")], 2, BOOKS_READER),
    Case(f"{_READ}.PAYOUT_OF", lambda w: [known("payout 7 7")], 1, BOOKS_READER),
    Case(f"{_HOLD}.AMOUNT", lambda w: [ENTRY, [PARTNER]], 4, BOOKS_OPERATOR),
    Case(f"{_HOLD}.IS_HELD_WITH_ANOTHER", lambda w: [ENTRY, [PARTNER]], 4, BOOKS_OPERATOR),
    Case(f"{_HOLD}.GET", lambda w: [ENTRY, PARTNER], 1, BOOKS_OPERATOR),
    # All that are held: there are some hundreds.
    Case(f"{_HOLD}.IN_FORCE", lambda w: ["", "", FROM, PAGE], 400, BOOKS_READER),
    Case(f"{_HOLD}.CHANGES", lambda w: [ENTRY, PARTNER], 2, BOOKS_READER),
    Case(f"{_HOLD}.SET", lambda w: [PARTNER, ENTRY, "held", 5, 3, w.now], 1, BOOKS_OPERATOR),
    Case(f"{_HOLD}.ADD_CHANGE", lambda w: [
        PARTNER, ENTRY, 3, "hold", "held", "why", w.now, "test"], 0, BOOKS_OPERATOR),
    # A line's cycle and its batch are looked for among all of them.
    Case(f"{_HOLD}.PAID_OUT", lambda w: [ENTRY, PARTNER, None], 4 * FEW, BOOKS_OPERATOR),
    Case(f"{_PAY}.BATCH_OF", lambda w: [CLOSED], FEW, BOOKS_OPERATOR),
    Case(f"{_PAY}.SUPERSEDED_BY", lambda w: [CLOSED], FEW, BOOKS_OPERATOR),
    # Every statement of the cycle, all that is under way, what was paid by others since, and all that is held, of which
    # each one's cycle is looked for among all of them: they are on one page.
    # The lines that are held, of which there are few, are looked through for each that is undone.
    Case(f"{_PAY}.CREATE", lambda w: [
        30, w.now, "test", "sent", "", w.now - timedelta(minutes=3), floor_at(w.now - timedelta(minutes=3)),
    ], 3_500 + 300 * 31 + 150_000, BOOKS_OPERATOR),
    Case(f"{_PAY}.PAYOUTS", lambda w: [CLOSED, 0, PAGE], PAGE, BOOKS_READER),
    Case(f"{_PAY}.TALLIES", lambda w: [CLOSED], 1_000, BOOKS_READER),
    Case(f"{_PAY}.CONFIRMS", lambda w: [known("statement 1")], FEW, BOOKS_OPERATOR),
    Case(f"{_PAY}.SAID", lambda w: [known("bank 7"), 0, PAGE], 6 * PAGE, BOOKS_OPERATOR),
    Case(f"{_PAY}.SETTLE", lambda w: [
        w.now, known("bank 7"), [7, 7], [1, 2], ["paid", "paid"], [None, None], [1, 2]], 2, BOOKS_OPERATOR),
]  # fmt: skip
