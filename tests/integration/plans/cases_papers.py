"""Invoices: what the ledger has for one, and how they are found again."""

from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import md5
from uuid import UUID

from libs.ids import new_id
from tests.integration.plans.case import BOOKS_OPERATOR, BOOKS_READER, PAGE, Case
from tests.integration.plans.world import World

_PAPERS = "reconciliation.papers.store"
# The postings of one merchant of a hundred, and its invoices.
POSTINGS, INVOICES = 120, 72


def known(name: str) -> UUID:
    """The id that fill_papers.sql gives to what has this name."""
    return UUID(md5(name.encode()).hexdigest())


def invoice(w: World) -> Sequence[object]:
    made = [new_id(), "KA/26-27/000001", "04", 2026, 1, new_id(), date(2026, 10, 1), "29"]
    return [*made, 10_000, 900, 900, 0, 0, 11_800, b"x" * 32, w.now, "test", "{}", b"%PDF"]


PAPERS = [
    Case(f"{_PAPERS}.SAME", lambda w: [known("merchant 7"), "29", date(2026, 3, 1)], 1, BOOKS_OPERATOR),
    Case(f"{_PAPERS}.LAST_SEQUENCE", lambda w: ["29", 2025], 1, BOOKS_OPERATOR),
    # Each posting, with its entry, its order and its rate card.
    Case(f"{_PAPERS}.FEES", lambda w: [
        f"merchant:{known('merchant 7')}", w.now - timedelta(days=31), w.now, ["C00"]], 4 * POSTINGS, BOOKS_OPERATOR),
    Case(f"{_PAPERS}.ADD", invoice, 0, BOOKS_OPERATOR),
    Case(f"{_PAPERS}.GET", lambda w: [known("invoice 29 7 7")], 1, BOOKS_READER),
    Case(f"{_PAPERS}.PAPER", lambda w: [known("invoice 29 7 7")], 1, BOOKS_READER),
    Case(f"{_PAPERS}.LIST", lambda w: [None, PAGE], PAGE, BOOKS_READER),
    Case(f"{_PAPERS}.LIST_OF_MERCHANT", lambda w: [None, PAGE, known("merchant 7")], INVOICES, BOOKS_READER),
]  # fmt: skip
