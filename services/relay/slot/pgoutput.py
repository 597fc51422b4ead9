"""What PostgreSQL sends through a slot of its own plugin pgoutput: begin, message, commit; anything else is not ours.

https://www.postgresql.org/docs/18/protocol-logicalrep-message-formats.html, protocol version 1.
"""

import struct
from dataclasses import dataclass, field

_BEGIN = struct.Struct(">xQ")  # final LSN
_COMMIT = struct.Struct(">xxQQ")  # flags, LSN of the commit, end LSN of the transaction
_MESSAGE = struct.Struct(">xBQ")  # flags, LSN; then the prefix with a NUL, the length, the content
_LENGTH = struct.Struct(">I")
_TRANSACTIONAL = 1
BEGIN, COMMIT, MESSAGE = b"BCM"


class ProtocolError(ValueError):
    """The bytes are not what the protocol says."""


@dataclass(slots=True)
class Batch:
    """Events with their stream ids in commit order, and how far the log is read."""

    # (id in the stream, content)
    entries: list[tuple[str, bytes]] = field(default_factory=list)
    # The end of the last transaction that is here whole; None while the first one goes on.
    end_lsn: int | None = None


class TransactionParser:
    """Turns the plugin's output into events. An event's id is its commit's position and its place in the transaction.

    Commits come in the order of their positions, so ids only grow, and the same event has the same id whenever it is
    read again: a stream refuses what it has.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode() + b"\0"
        self._commit_lsn = 0
        self._place = 0

    def feed(self, payload: bytes, batch: Batch) -> None:
        """Add what one message of the plugin says to `batch`. Raises ProtocolError for what is no such message."""
        try:
            kind = payload[0]
            if kind == MESSAGE:
                self._add_message(payload, batch)
            elif kind == BEGIN:
                (self._commit_lsn,) = _BEGIN.unpack_from(payload)
                self._place = 0
            elif kind == COMMIT:
                _, batch.end_lsn = _COMMIT.unpack_from(payload)
        except (IndexError, ValueError, struct.error) as error:
            raise ProtocolError(f"{payload[:64]!r}: {error}") from error

    def _add_message(self, payload: bytes, batch: Batch) -> None:
        flags, _ = _MESSAGE.unpack_from(payload)
        start = _MESSAGE.size
        if not flags & _TRANSACTIONAL or not payload.startswith(self._prefix, start):
            return
        start += len(self._prefix)
        (length,) = _LENGTH.unpack_from(payload, start)
        start += _LENGTH.size
        if len(payload) != start + length:
            raise ValueError(f"{len(payload) - start} bytes of content instead of {length}")
        batch.entries.append((f"{self._commit_lsn}-{self._place}", payload[start:]))
        self._place += 1
