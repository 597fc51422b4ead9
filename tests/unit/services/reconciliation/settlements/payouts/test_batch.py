"""A payout file is the same bytes for the same batch, adds up, and fits its columns at every extreme."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.settlements.lifecycle import PayoutState
from services.reconciliation.settlements.payouts.batch import LINE_CHARS, Batch, FileFormat, Payout, file_name, writer
from tests.ledger import PARTNER

# In India it is the next day.
MADE_AT = datetime(2026, 11, 25, 20, 0, tzinfo=UTC)
PARTIES = st.sampled_from([f"partner:{PARTNER}", f"merchant:{PARTNER}", "network:" + "n" * 64])
AMOUNTS = st.lists(st.tuples(PARTIES, st.integers(1, 10**14)), max_size=20)


def batch_of(rows: list[tuple[str, int]]) -> tuple[Batch, list[Payout]]:
    payouts = [
        Payout(number, f"LM000042{number:08}", party, paise, PayoutState.SENT)
        for number, (party, paise) in enumerate(rows, 1)
    ]
    return Batch(42, 7, len(payouts), sum(one.paise for one in payouts), MADE_AT, "test"), payouts


def lines_of(rows: list[tuple[str, int]], form: FileFormat) -> list[str]:
    batch, payouts = batch_of(rows)
    parts = writer(form)
    text = parts.head(batch) + "".join(map(parts.record, payouts)) + parts.tail(batch)
    assert text.isascii()
    return text.split("\r\n")[:-1]


@given(AMOUNTS)
def test_fixed_lines_are_of_one_length_and_their_sums_are_in_the_first_and_the_last(
    rows: list[tuple[str, int]],
) -> None:
    head, *records, tail = lines_of(rows, FileFormat.NACH)
    assert {len(line) for line in (head, *records, tail)} == {LINE_CHARS}
    assert [int(line[26:41]) for line in records] == [paise for _, paise in rows]
    assert [line[41:].rstrip() for line in records] == [party for party, _ in rows]
    sums = (len(rows), sum(paise for _, paise in rows))
    assert (int(head[32:41]), int(head[41:59])) == sums
    assert (int(tail[18:27]), int(tail[27:45])) == sums
    assert head[24:32] == "20261126"


@given(AMOUNTS)
def test_the_csv_says_the_same(rows: list[tuple[str, int]]) -> None:
    _, head, *records, tail = (line.split(",") for line in lines_of(rows, FileFormat.CSV))
    assert [(row[3], int(row[4].replace(".", ""))) for row in records] == rows
    assert head[2] == tail[2] == str(len(rows))
    assert head[4] == tail[4]
    assert int(head[4].replace(".", "")) == sum(paise for _, paise in rows)
    assert {len(row) for row in (head, *records, tail)} == {7}


def test_a_file_is_called_by_its_batch_and_its_day() -> None:
    batch, _ = batch_of([])
    assert file_name(batch, FileFormat.NACH) == "payouts-000042-20261126.txt"
    assert file_name(batch, FileFormat.CSV) == "payouts-000042-20261126.csv"
