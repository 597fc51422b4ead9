"""Takes a file in: all of its lines and refused rows in one transaction, a batch in memory at a time."""

import asyncio
import hashlib
import io
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO, Self

import asyncpg

from libs.ids import new_id
from services.reconciliation.statements import store
from services.reconciliation.statements.content import Content
from services.reconciliation.statements.fields import Parsed, RowParser
from services.reconciliation.statements.formats import readers
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Mapping
from services.reconciliation.statements.problems import FileRefusedError
from services.reconciliation.statements.store import SourceMapping, Statement


class SourceUnknownError(LookupError):
    """No mapping says how the source's files are read."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A statement, and whether it had been taken in before."""

    statement: Statement
    was_there: bool


class ReceivedFile:
    """A file on its way in, kept on disk until it is read: an upload may be larger than memory."""

    def __init__(self, limits: IntakeLimits) -> None:
        self._limits = limits
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, piece: bytes) -> None:
        """Add a piece. Raises FileRefusedError when the file is too large."""
        self.size_bytes += len(piece)
        if self.size_bytes > self._limits.file_bytes_max:
            raise FileRefusedError("FILE_TOO_LARGE", f"more than {self._limits.file_bytes_max} bytes")
        self._digest.update(piece)
        self.file.write(piece)

    @property
    def sha256(self) -> bytes:
        """The hash of what has come so far."""
        return self._digest.digest()


def parsed_batches(
    file: BinaryIO, size_bytes: int, mapping: Mapping, limits: IntakeLimits, now: datetime
) -> Iterator[Parsed]:
    """Yield what a file that comes in now comes to, a batch at a time. Raises FileRefusedError."""
    if size_bytes == 0:
        raise FileRefusedError("FILE_EMPTY", "there is nothing in it")
    file.seek(0, io.SEEK_SET)
    parser = RowParser(mapping, limits, now)
    for batch in readers()[mapping.format](Content(file, size_bytes, mapping, limits), mapping, limits):
        parsed = parser.parse(batch.numbers, batch.columns)
        refused = [
            replace(row, paise=parser.paise_of(amount)) if amount else row
            for row, amount in zip(batch.refused, batch.refused_amounts, strict=True)
        ]
        yield Parsed(parsed.lines, [*parsed.refused, *refused])


async def take_in(
    connection: asyncpg.Connection,
    received: ReceivedFile,
    source_code: str,
    file_name: str,
    by: str,
    now: datetime,
    limits: IntakeLimits,
) -> TakenIn:
    """Take a file in, within the caller's transaction. The same file again changes nothing.

    Raises SourceUnknownError, and FileRefusedError when nothing of the file can be taken.
    """
    await store.lock(connection, source_code, received.sha256.hex())
    if there := await store.same_file(connection, source_code, received.sha256):
        return TakenIn(there, was_there=True)
    source = await store.last_mapping(connection, source_code)
    if source is None:
        raise SourceUnknownError(f"no mapping says how files of {source_code} are read")
    statement = await _copy(connection, received, source, file_name, by, now, limits)
    await store.add_statement(connection, statement)
    return TakenIn(statement, was_there=False)


async def _copy(
    connection: asyncpg.Connection,
    received: ReceivedFile,
    source: SourceMapping,
    file_name: str,
    by: str,
    now: datetime,
    limits: IntakeLimits,
) -> Statement:
    statement_id = new_id()
    taken = refused = taken_paise = refused_paise = 0
    batches = made_ahead(parsed_batches(received.file, received.size_bytes, source.mapping, limits, now))
    async with aclosing(batches):
        async for parsed in batches:
            if parsed.lines:
                await store.copy_lines(connection, statement_id, parsed.lines)
            if parsed.refused:
                await store.copy_refused(connection, statement_id, parsed.refused)
            taken += len(parsed.lines)
            refused += len(parsed.refused)
            taken_paise += sum(line[5] for line in parsed.lines)
            refused_paise += sum(row.paise for row in parsed.refused)
    if taken + refused == 0:
        raise FileRefusedError("FILE_EMPTY", "it has no rows")
    return Statement(
        statement_id, source.source_code, source.version, file_name, received.sha256, received.size_bytes, taken,
        refused, taken_paise, refused_paise, now, by,
    )  # fmt: skip


async def made_ahead(batches: Iterator[Parsed]) -> AsyncGenerator[Parsed]:
    """Yield the batches, each made in a thread, so that reading a file keeps nobody else waiting.

    The next one is made while the database takes the last one in.
    """
    ahead = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
    try:
        while (parsed := await asyncio.shield(ahead)) is not None:
            ahead = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
            yield parsed
    finally:
        # The file is closed after this: nobody may be reading it any more, also where whoever waits is cancelled.
        await asyncio.wait([ahead])
        ahead.exception()
