import struct

import pytest

from services.relay.slot.pgoutput import Batch, ProtocolError, TransactionParser


def begin(lsn: int) -> bytes:
    return struct.pack(">cQQI", b"B", lsn, 0, 7)


def commit(lsn: int, end_lsn: int) -> bytes:
    return struct.pack(">cBQQQ", b"C", 0, lsn, end_lsn, 0)


def message(content: bytes, prefix: bytes = b"ours", flags: int = 1) -> bytes:
    return struct.pack(">cBQ", b"M", flags, 5) + prefix + b"\0" + struct.pack(">I", len(content)) + content


def parsed(*payloads: bytes) -> Batch:
    parser, batch = TransactionParser("ours"), Batch()
    for payload in payloads:
        parser.feed(payload, batch)
    return batch


def test_an_events_id_is_its_commit_and_its_place() -> None:
    batch = parsed(
        begin(100), message(b"a"), message(b"b"), commit(100, 120), begin(200), message(b"c"), commit(200, 230)
    )
    assert batch.entries == [("100-0", b"a"), ("100-1", b"b"), ("200-0", b"c")]
    assert batch.end_lsn == 230


def test_a_transaction_that_goes_on_is_not_acknowledged() -> None:
    assert parsed(begin(100), message(b"a")).end_lsn is None
    assert parsed(begin(100), message(b"a"), commit(100, 120), begin(200), message(b"b")).end_lsn == 120


@pytest.mark.parametrize(
    "other",
    [message(b"x", b"theirs"), message(b"x", b"ours.too"), message(b"x", flags=0), b"Y\0\0\0\1rest", b"O" + b"\0" * 9],
)
def test_what_is_not_ours_takes_no_place(other: bytes) -> None:
    batch = parsed(begin(100), other, message(b"a"), commit(100, 120))
    assert batch.entries == [("100-0", b"a")]


@pytest.mark.parametrize("bad", [b"", b"B\0", b"C", message(b"abc")[:-1], message(b"abc") + b"d", b"M\1"])
def test_what_breaks_the_protocol_is_refused(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        parsed(begin(100), bad)
