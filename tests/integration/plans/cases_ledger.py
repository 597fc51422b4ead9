"""Rate cards, what is known of deliveries, and the ledger."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import md5
from uuid import UUID

from libs.ids import new_id
from tests.integration.plans.case import BATCH, BOOKS, BOOKS_OPERATOR, BOOKS_READER, PAGE, Case, many, new_ids
from tests.integration.plans.world import World

_FACTS, _LEDGER, _CARDS = (f"reconciliation.{noun}.store" for noun in ("deliveries", "ledger", "rate_cards"))


def known(name: str) -> UUID:
    """The id that fill_ledger.sql gives to what has this name."""
    return UUID(md5(name.encode()).hexdigest())


def deliveries(count: int = BATCH) -> list[UUID]:
    return [known(f"delivery {number}") for number in range(count)]


def changes(w: World) -> Sequence[object]:
    steps = [deliveries(), [7] * BATCH, new_ids(), ["delivered"] * BATCH, [w.now] * BATCH]
    return [*steps, *many(None, None, None, None, None, None, None, None)]


def entries(w: World) -> Sequence[object]:
    told = [["{" + str(new_id()) + "}"] * BATCH, new_ids(), new_ids(), new_ids(), [1] * BATCH]
    card = [[known("card 0 1")] * BATCH, [None] * BATCH, [w.now] * BATCH, [w.now] * BATCH, [0] * BATCH]
    return [new_ids(), ["earnings"] * BATCH, new_ids(), *told, *card]


BOOKKEEPING = [
    Case(f"{_FACTS}.HEAR_OF", lambda w: [deliveries()], BATCH, BOOKS),
    Case(f"{_FACTS}.LOCK", lambda w: [deliveries()], 2 * BATCH, BOOKS),
    Case(f"{_FACTS}.LOCK_WAITING", lambda w: [w.now, 500], 1_000, BOOKS),
    Case(f"{_FACTS}.SET_WAITING", lambda w: [deliveries(), ["X"] * BATCH, [w.now] * BATCH], 2 * BATCH, BOOKS),
    # All that wait, and no others.
    Case(f"{_FACTS}.COUNT_WAITING", lambda w: [], 1_200, BOOKS),
    Case(f"{_FACTS}.ADD_CHANGES", changes, 0, BOOKS),
    Case(f"{_FACTS}.CHANGES_OF", lambda w: [deliveries()], 6 * BATCH, BOOKS),
    Case(f"{_FACTS}.ADD_VERSIONS", lambda w: [
        new_ids(), *many(1), new_ids(), *many("van", "", w.now, "C00", "{(,)}")], 0, BOOKS),
    # The newest version is the one in force, but for those that changed since.
    Case(f"{_FACTS}.VERSIONS_AT", lambda w: [
        [known(f"partner {number}") for number in range(BATCH)], [w.now] * BATCH], 2 * BATCH, BOOKS),
    Case(f"{_FACTS}.VERSION", lambda w: [known("partner 7"), 3], 1, BOOKS_READER),
    Case(f"{_LEDGER}.ADD_ENTRIES", entries, BATCH, BOOKS),
    Case(f"{_LEDGER}.ADD_POSTINGS", lambda w: [
        [known("entry 2")] * 9, list(range(1, 10)), *many(9, "tax:gst", "gst", 5, None, w.now, times=9)], 0, BOOKS),
    Case(f"{_LEDGER}.ADD_CORRECTIONS", lambda w: [
        [known("entry 2")], [known("entry 3")], [new_id()]], 0, BOOKS),
    Case(f"{_LEDGER}.ENTRIES_OF", lambda w: [deliveries()], BATCH, BOOKS),
    Case(f"{_LEDGER}.ENTRIES_OF", lambda w: [deliveries(1)], 1, BOOKS_READER, note="of one"),
    Case(f"{_LEDGER}.POSTINGS_OF", lambda w: [
        [known(f"entry {number}") for number in range(BATCH)]], 4 * BATCH, BOOKS),
    Case(f"{_LEDGER}.BALANCE", lambda w: [f"partner:{known('partner 7')}", w.now], 4, BOOKS_READER),
    # What was booked by then, and nothing after.
    Case(f"{_LEDGER}.BALANCE", lambda w: [
        "tax:gst", w.now - timedelta(seconds=11_000)], 1_000, BOOKS_READER, note="long ago"),
    Case(f"{_CARDS}.LAST_VERSION", lambda w: ["C07", "motorcycle", ""], 1, BOOKS_OPERATOR),
    Case(f"{_CARDS}.AT", lambda w: ["C07", "motorcycle", "", w.now], 1, BOOKS_OPERATOR),
    Case(f"{_CARDS}.INSERT", lambda w: [
        new_id(), "C99", "van", "", 1, w.now, "{}", w.now, "test"], 0, BOOKS_OPERATOR),
    Case(f"{_CARDS}.IN_FORCE", lambda w: many("C07", "motorcycle", "", w.now), BATCH, BOOKS),
    Case(f"{_CARDS}.GET", lambda w: [known("card 0 1")], 1, BOOKS_READER),
    Case(f"{_CARDS}.LIST", lambda w: [None, "", PAGE], PAGE, BOOKS_READER),
    # A city's few among those of all, of which there are hundreds.
    Case(f"{_CARDS}.LIST", lambda w: [None, "C07", PAGE], 1_500, BOOKS_READER, note="of a city"),
]  # fmt: skip
