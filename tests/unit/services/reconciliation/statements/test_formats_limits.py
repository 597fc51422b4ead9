"""No file takes more memory than it may: content, lines, rows and batches have limits."""

import io
import json
import zlib

import pytest

from services.reconciliation.statements.intake import parsed_batches
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Mapping
from services.reconciliation.statements.problems import FileRefusedError
from tests.recon_files import AT, DELIVERY, FIXED, HEADER, JSON, PARTNER, mapping, read, row

JSON_ROW = json.dumps({"ref": DELIVERY, "to": PARTNER, "when": "2026-11-25T14:00:00Z", "amount": "71.16"}) + "\n"
ROW_CHARS_MIN = 66


def test_content_and_rows_have_limits() -> None:
    for limits, reason in (
        (IntakeLimits(content_bytes_max=200), "CONTENT_TOO_LARGE"),
        (IntakeLimits(rows_max=3), "ROWS_TOO_MANY"),
    ):
        with pytest.raises(FileRefusedError) as error:
            read(HEADER + row() * 4, None, limits)
        assert error.value.reason == reason


def test_a_stream_without_ends_of_lines_is_no_bomb_either() -> None:
    packed = zlib.compressobj(wbits=31)
    content = packed.compress(b"x" * 900_000) + packed.flush()
    with pytest.raises(FileRefusedError) as error:
        read(content)
    assert error.value.reason == "LINE_TOO_LONG"


@pytest.mark.parametrize("letter", ["x", ">", "\u0a0a", "\u0d0d", "\u0a00\u0a0d"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_of_two_byte_letters_only_a_line_s_end_ends_it(letter: str, encoding: str) -> None:
    def encoded(note: str) -> bytes:
        return f"\ufeff{HEADER}{row(note=note) * 30}".encode(encoding)

    told = mapping(encoding="utf-16")
    assert len(read(encoded(letter * 10_000), told)[0]) == 30
    with pytest.raises(FileRefusedError) as error:
        read(encoded(letter * 100_000), told)
    assert error.value.reason == "LINE_TOO_LONG"


@pytest.mark.parametrize(
    ("how", "content"),
    [
        (mapping(), HEADER + row() * 90),
        (mapping(), HEADER + row(note='"n"') * 90),
        (JSON, JSON_ROW * 90),
        (FIXED, f"{DELIVERY}000000007116251120261400+0000P\n" * 91),
    ],
)
def test_a_batch_has_few_rows_and_few_characters(how: Mapping, content: str) -> None:
    def batches(**limits: int) -> list[int]:
        file, told = io.BytesIO(content.encode()), IntakeLimits(**limits)
        return [len(parsed.lines) for parsed in parsed_batches(file, len(content), how, told, AT)]

    assert batches() == [90]
    assert batches(batch_rows=40) == [40, 40, 10]
    few = batches(batch_chars_max=1_000)
    assert sum(few) == 90
    assert max(few) * ROW_CHARS_MIN < 2 * 1_000 + 200
