"""Each format reads what it should, and names what it cannot read."""

import contextlib
import gzip
import json
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.statements.fields import Line
from services.reconciliation.statements.formats import readers
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Format
from services.reconciliation.statements.problems import FileRefusedError, RefusedRow
from tests.recon_files import AT, CAMT, DELIVERY, FIXED, HEADER, JSON, PARTNER, TAKEN, mapping, read, reasons, row


def test_every_format_has_a_module() -> None:
    assert set(readers()) == set(Format)


def test_a_csv_row_is_a_line() -> None:
    lines, refused = read(HEADER + row() + row(note='"says ""no"",\nand more"') + row(ref=DELIVERY.upper()))
    assert [line[1:] for line in lines[:2]] == [TAKEN, TAKEN]
    assert [line[0] for line in lines] == [1, 2, 3]
    assert lines[2][3] == DELIVERY
    assert not refused


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        ("1e3", "AMOUNT_WITH_EXPONENT"),
        ('"123,456.78"', "AMOUNT_MISGROUPED"),
        ("-5.00", "AMOUNT_NOT_POSITIVE"),
        ("0", "AMOUNT_NOT_POSITIVE"),
        ("5.001", "AMOUNT_BELOW_MINOR_UNIT"),
        ("USD 5", "CURRENCY_MISMATCH"),
        ("five", "AMOUNT_NOT_A_NUMBER"),
        ("", "AMOUNT_NOT_A_NUMBER"),
        ("NaN", "AMOUNT_NOT_A_NUMBER"),
        ("99999999999999999999", "AMOUNT_TOO_LARGE"),
        ("999999999999.00", "AMOUNT_TOO_LARGE"),
    ],
)
def test_an_amount_that_is_none_is_refused_by_its_reason(amount: str, reason: str) -> None:
    lines, refused = read(HEADER + row() + row(amount) + row("12.5"))
    assert reasons(refused) == [reason]
    assert refused[0].line == 2
    assert [line[5] for line in lines] == [7_116, 1_250]


def test_indian_grouping_is_read() -> None:
    lines, _ = read(HEADER + row('"1,23,456.78"') + row('"₹ 1,000"') + row("INR 7"))
    assert [line[5] for line in lines] == [12_345_678, 100_000, 700]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"when": "2026-02-30"}, "DATE_IMPOSSIBLE"),
        ({"when": "2026-11-25T25:00:00"}, "DATE_IMPOSSIBLE"),
        ({"when": "31/12/2026"}, "DATE_IMPOSSIBLE"),
        ({"when": "yesterday"}, "DATE_UNREADABLE"),
        ({"when": ""}, "DATE_MISSING"),
        ({"when": "1999-12-31T00:00:00Z"}, "DATE_OUT_OF_RANGE"),
        ({"when": "0001-01-01T00:00:00+14:00"}, "DATE_OUT_OF_RANGE"),
        ({"when": "9999-12-31T23:59:59-14:00"}, "DATE_OUT_OF_RANGE"),
        ({"when": "2098-11-25T14:00:00Z"}, "DATE_IN_FUTURE"),
        ({"when": "2026-12-02T14:00:01Z"}, "DATE_IN_FUTURE"),
        ({"to": ""}, "PAYEE_MISSING"),
        ({"to": "Ramesh K"}, "PAYEE_UNREADABLE"),
        ({"to": "merchant:acme"}, "PAYEE_UNREADABLE"),
        ({"ref": '"two\nlines"'}, "CONTROL_CHARACTER"),
        ({"ref": "x" * 141}, "TEXT_TOO_LONG"),
        ({"note": "n,one too many"}, "FIELDS_COUNT"),
        ({"note": '"closed" too early'}, "ROW_UNREADABLE"),
    ],
)
def test_a_csv_row_is_refused_by_its_reason(changes: dict[str, str], reason: str) -> None:
    lines, refused = read(HEADER + row() + row(**changes) + row())
    assert reasons(refused) == [reason]
    assert [line[0] for line in lines] == [1, 3]


def test_a_payment_may_be_dated_some_days_ahead() -> None:
    lines, refused = read(HEADER + row(when="2026-12-02T14:00:00Z") + row(when="2026-12-02T19:30:00"))
    assert (len(lines), refused) == (2, [])


def test_local_moments_are_in_the_source_s_zone() -> None:
    lines, _ = read(HEADER + row(when="2026-11-25T19:30:00") + row(when="2026-11-25"))
    assert lines[0][6] == AT
    assert lines[1][6] == datetime(2026, 11, 24, 18, 30, tzinfo=UTC)


def test_a_quote_that_is_never_closed_takes_one_row_and_no_more() -> None:
    rows = [row(note='"' if number == 3 else "n") for number in range(1, 200)]
    lines, refused = read(HEADER + "".join(rows))
    assert reasons(refused) == ["QUOTE_UNCLOSED"]
    assert [line[0] for line in lines] == [number for number in range(1, 200) if number != 3]


def test_a_last_line_that_does_not_end_is_taken_only_when_what_is_read_of_it_is_whole() -> None:
    taken, refused = read(HEADER + row() + row(end=""))
    assert (len(taken), refused) == (2, [])
    short = HEADER.replace(",note", "")
    taken, refused = read(short + row(note="").replace(",\n", "\n") + f"{DELIVERY},{PARTNER},71.16,2026-11-25T14:00")
    assert (len(taken), reasons(refused)) == (1, ["LAST_LINE_TRUNCATED"])
    taken, refused = read(HEADER + row() + f"{DELIVERY},{PARTNER},71")
    assert (len(taken), reasons(refused)) == (1, ["LAST_LINE_TRUNCATED"])
    _, refused = read(HEADER + row() + row(note='"n', end=""))
    assert reasons(refused) == ["QUOTE_UNCLOSED"]


def test_line_ends_may_be_of_any_kind_and_rows_may_be_empty() -> None:
    for end in ("\r\n", "\r", "\n\n"):
        lines, refused = read((HEADER + row() + row()).replace("\n", end))
        assert (len(lines), refused) == (2, [])


def test_marks_and_encodings() -> None:
    text = HEADER + row(ref="café")
    for encoding, told in (("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("cp1252", "cp1252"), ("utf-8", "utf-8")):
        lines, refused = read(text.encode(encoding), mapping(encoding=told))
        assert (lines[0][2:4], refused) == (("café", None), [])
    for unmarked in (text.encode(), text.encode("utf-16-le"), b"r"):
        with pytest.raises(FileRefusedError) as error:
            read(unmarked, mapping(encoding="utf-16"))
        assert error.value.reason == "ENCODING_UNEXPECTED"
    lines, refused = read((HEADER + row() + row(ref="café")).encode("cp1252"))
    assert (len(lines), reasons(refused)) == (1, ["ENCODING_INVALID"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "FILE_EMPTY"),
        ("\ufeff".encode("utf-8"), "FILE_EMPTY"),
        (HEADER.encode("utf-16"), "ENCODING_UNEXPECTED"),
        (HEADER.encode("utf-16-le"), "ENCODING_UNEXPECTED"),
        (b"ref,to,amount,when,amount\n", "HEADER_DUPLICATE"),
        (b"ref,to,sum,when\n", "COLUMN_MISSING"),
        (b'"ref', "HEADER_UNREADABLE"),
        (b"PK\x03\x04rest", "ARCHIVE_NOT_READ"),
        (gzip.compress(gzip.compress(HEADER.encode())), "COMPRESSED_TWICE"),
        (gzip.compress(HEADER.encode() + b"x,\n" * 2_000_000), "COMPRESSION_BOMB"),
        (gzip.compress(HEADER.encode() + row().encode())[:-12], "GZIP_TRUNCATED"),
        (gzip.compress(HEADER.encode())[:10] + b"\xff" * 40, "GZIP_CORRUPT"),
        (b"x" * 70_000, "LINE_TOO_LONG"),
        (HEADER.encode() + b">" * 300_000, "LINE_TOO_LONG"),
    ],
)
def test_a_file_is_refused_by_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(FileRefusedError) as error:
        read(content)
    assert error.value.reason == reason


def test_a_compressed_file_is_read_as_what_it_holds() -> None:
    noise = [row(f"{random.Random(n).randrange(1, 9_999)}.{n % 100:02}") for n in range(1_000)]
    content = (HEADER + "".join(noise)).encode()
    assert read(gzip.compress(content)) == read(content)


def test_json_amounts_pass_through_no_float() -> None:
    told = {"ref": DELIVERY, "to": PARTNER, "when": "2026-11-25T14:00:00Z"}
    text = "".join(
        json.dumps(told)[:-1] + f', "amount": {amount}}}\n' for amount in ("71.16", '"71.16"', "1e3", "0.07")
    )
    lines, refused = read(text, JSON)
    assert [line[5] for line in lines] == [7_116, 7_116, 7]
    assert lines[0][1:] == TAKEN
    assert reasons(refused) == ["AMOUNT_WITH_EXPONENT"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]\n", "ROW_UNREADABLE"),
        ("{\n", "ROW_UNREADABLE"),
        ("[" * 50_000 + "\n", "ROW_UNREADABLE"),
        ('{"ref": "a", "ref": "b"}\n', "KEY_DUPLICATE"),
        ('{"ref": ["a"]}\n', "FIELD_NOT_TEXT"),
        ('{"ref": "a\\ud800", "amount": 5, "to": "x", "when": "2026-11-25"}\n', "ENCODING_INVALID"),
        ('{"ref": "a\\u0000", "amount": 5, "to": "x", "when": "2026-11-25"}\n', "CONTROL_CHARACTER"),
        ('{"ref": "a", "amount": NaN, "to": "x", "when": "2026-11-25"}\n', "AMOUNT_NOT_A_NUMBER"),
        ('{"ref": "a', "LAST_LINE_TRUNCATED"),
    ],
)
def test_a_json_row_is_refused_by_its_reason(line: str, reason: str) -> None:
    _, refused = read(line, JSON)
    assert reasons(refused) == [reason]


@pytest.mark.parametrize("date", ["2026-11-25\\u0000", "2026-11-25\\ud800", "2026-11-25\\u001b[2J" + "x" * 60_000])
@pytest.mark.parametrize("time_format", ["%Y-%m-%d", "", "%d%d"])
def test_what_is_said_of_a_row_can_be_stored_and_shown(date: str, time_format: str) -> None:
    line = f'{{"ref": "a", "amount": 5, "to": "{PARTNER}", "when": "{date}"}}\n'
    _, refused = read(line, JSON.model_copy(update={"time_format": time_format}))
    assert reasons(refused) == ["DATE_IMPOSSIBLE"]
    assert (refused[0].said + refused[0].content).isprintable()
    assert len(refused[0].said) <= 500


def test_a_fixed_width_line_is_read_by_its_places() -> None:
    good = f"{DELIVERY}000000007116251120261400+0000"
    lines, refused = read(f"HEADER\n{good}P\n{good}C\n{good}X\n{good[:50]}\n{good}", FIXED)
    assert [line[1] for line in lines] == ["payout", "cash"]
    assert lines[0][2:] == (DELIVERY, DELIVERY, "network:swiftwheels", 7_116, AT)
    assert {row.line: row.reason for row in refused} == {
        3: "KIND_UNKNOWN", 4: "LINE_TOO_SHORT", 5: "LAST_LINE_TRUNCATED"}  # fmt: skip


@given(st.binary(max_size=400), st.sampled_from(list(Format)), st.sampled_from(["plain", "header", "gzip"]))
def test_whatever_comes_is_read_or_refused_by_a_reason(content: bytes, kind: Format, dressed: str) -> None:
    how = {Format.CSV: mapping(), Format.JSON_LINES: JSON, Format.FIXED_WIDTH: FIXED, Format.CAMT053: CAMT}[kind]
    if dressed == "header":
        content = HEADER.encode() + content
    if dressed == "gzip":
        content = gzip.compress(content)
    lines: list[Line] = []
    refused: list[RefusedRow] = []
    with contextlib.suppress(FileRefusedError):
        lines, refused = read(content, how)
    numbers = sorted([line[0] for line in lines] + [row.line for row in refused])
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(row.reason.isupper() and (row.content + row.said).isprintable() for row in refused)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.booleans()), max_size=60), st.integers(1, 7))
def test_rows_taken_and_rows_refused_add_up_whatever_the_batch(rows: list[tuple[int, bool]], batch_rows: int) -> None:
    text = "".join(row(f"{paise // 100}.{paise % 100:02}", when="" if bad else "2026-11-25") for paise, bad in rows)
    lines, refused = read(HEADER + text, None, IntakeLimits(batch_rows=batch_rows))
    assert sum(line[5] for line in lines) + sum(r.paise for r in refused) == sum(paise for paise, _ in rows)
    assert len(lines) + len(refused) == len(rows)
