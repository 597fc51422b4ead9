"""A statement's hash is of all that it says, in the order of the ledger, and of nothing else."""

from dataclasses import fields, replace
from uuid import UUID

import pytest

from services.reconciliation.settlements import statement
from services.reconciliation.settlements.statement import Cycle, StatementLine, Totals, hash_of
from tests.ledger import DELIVERY, EVENING, NAMES

CYCLE = Cycle(7, "BLR", EVENING, EVENING.replace(day=30), "closed", EVENING, "test")
LINES = tuple(
    StatementLine(UUID(int=number), "delivery", DELIVERY, EVENING, 10_779, -108, -49_900, 0) for number in range(1, 6)
)
TOTALS = Totals(5, 5, 53_895, -540, -249_500, 0, -196_140, 0, 0, 0)
PARTY = "partner:x"


def test_a_line_adds_up() -> None:
    assert LINES[0].paise == 10_779 - 108 - 49_900


@pytest.mark.parametrize("name", [field.name for field in fields(Totals)])
def test_every_total_is_in_the_hash(name: str) -> None:
    other = replace(TOTALS, **{name: getattr(TOTALS, name) + 1})
    assert hash_of(CYCLE, PARTY, other, LINES) != hash_of(CYCLE, PARTY, TOTALS, LINES)


@pytest.mark.parametrize(
    ("name", "value"),
    [("entry_id", NAMES), ("kind", "reversal"), ("work_paise", 1), ("tax_paise", 1), ("cash_paise", 1),
     ("paid_paise", 1), ("adjusts_entry_id", NAMES), ("adjusts_cycle_no", 1)],
)  # fmt: skip
def test_every_part_of_a_line_is_in_the_hash(name: str, value: object) -> None:
    other = (replace(LINES[0], **{name: value}), *LINES[1:])  # type: ignore[arg-type]  # the values are the fields'
    assert hash_of(CYCLE, PARTY, TOTALS, other) != hash_of(CYCLE, PARTY, TOTALS, LINES)


def test_lines_are_hashed_in_blocks_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hash_of(CYCLE, PARTY, TOTALS, LINES)
    assert hash_of(CYCLE, PARTY, TOTALS, LINES[::-1]) != whole
    assert hash_of(CYCLE, PARTY, TOTALS, iter(LINES)) == whole
    monkeypatch.setattr(statement, "BLOCK_LINES", 2)
    assert hash_of(CYCLE, PARTY, TOTALS, LINES) != whole


def test_who_closed_it_when_is_not_in_the_hash() -> None:
    other = replace(CYCLE, opened_by="another", closed_at=EVENING, state="state")
    assert hash_of(other, PARTY, TOTALS, LINES) == hash_of(CYCLE, PARTY, TOTALS, LINES)
