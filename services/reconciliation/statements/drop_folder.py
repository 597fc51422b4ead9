"""A watched folder: <folder>/<source code>/<file> is taken in, and moved below `taken` or `refused` beside it.

A file is looked at once it has not changed for a while; one whose name begins with a dot or ends with `.part` is still
being written. What has been moved stays: the next file of its name is moved as `<name>.2`. Who dies between taking a
file in and moving it takes it in again, which changes nothing. Whatever is wrong with a file refuses that file alone;
only a database that is away has all of them wait.
"""

import asyncio
import contextlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NoReturn

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.postgres.errors import UNREACHABLE
from services.reconciliation.statements.fields import printable
from services.reconciliation.statements.intake import ReceivedFile, SourceUnknownError, take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.problems import FileRefusedError

log = logging.getLogger("drop_folder")

_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PIECE_BYTES = 1024 * 1024
# What a name may have on Linux.
_NAME_BYTES_MAX = 255
_NOTE = ".txt"
TAKEN, REFUSED = "taken", "refused"
# Inode, size, and when content and inode were changed: the same as long as the file is.
Mark = tuple[int, int, int, int]


# What PostgreSQL says of the file; whatever else it says is of no file.
_BY_THE_FILE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


class _GoneError(Exception):
    """Another worker has moved the file, somebody writes it anew, or the database has trouble of its own with it: it is
    looked at again where it is still there."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a file: the folder where it belongs now, and what is to be said of it."""

    folder: str
    said: str


class DropFolderLimits(BaseModel):
    """How the folder is watched."""

    model_config = ConfigDict(frozen=True)

    look_every_s: float = Field(5.0, gt=0, description="How often the folder is looked at")
    unchanged_s: float = Field(5.0, ge=0, description="How long a file must not have changed before it is read")


class DropFolder:
    """The folder of one process. Several may watch the same one: the database has each file once."""

    def __init__(self, primary: asyncpg.Pool, folder: Path, limits: DropFolderLimits, intake: IntakeLimits) -> None:
        self._primary, self._folder, self._limits, self._intake = primary, folder, limits, intake
        # What came of files that could not be moved.
        self._unmoved: dict[tuple[Path, Mark], _Outcome] = {}
        self._unlisted: set[Path] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        while not stop.is_set():
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                await self.look()
            except UNREACHABLE as error:
                log.warning("the folder or the database is away", extra={"error": repr(error)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.look_every_s):
                    await stop.wait()

    async def look(self) -> int:
        """Take in what is there; return how many files were looked at. Raises one of UNREACHABLE."""
        ready = await asyncio.to_thread(lambda: list(self._ready()))
        self._unmoved = {key: self._unmoved[key] for key in ready if key in self._unmoved}
        for path, mark in ready:
            with contextlib.suppress(_GoneError):
                _check_is_same(path, mark)
                self._move(path, mark, self._unmoved.get((path, mark)) or await self._take(path, mark))
        return len(ready)

    def _ready(self) -> Iterator[tuple[Path, Mark]]:
        before_s = datetime.now(UTC).timestamp() - self._limits.unchanged_s
        for folder in sorted(self._folder.iterdir()):
            if not _SOURCE.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
                continue
            try:
                yield from _whole_files(folder, before_s)
            except OSError as error:
                if folder not in self._unlisted:
                    log.warning("a source's folder cannot be read", extra={"error": repr(error)})
                self._unlisted.add(folder)
            else:
                self._unlisted.discard(folder)

    async def _take(self, path: Path, mark: Mark) -> _Outcome:
        try:
            with ReceivedFile(self._intake) as received:
                await asyncio.to_thread(_read, path, received)
                async with self._primary.acquire() as connection, connection.transaction():
                    taken = await take_in(
                        connection, received, path.parent.name, printable(path.name), "drop folder",
                        datetime.now(UTC), self._intake,
                    )  # fmt: skip
                    # What came while it was read would be taken in later with the rows that are there already.
                    _check_is_same(path, mark)
        except FileRefusedError as error:
            return _Outcome(REFUSED, f"{error.reason}: {error}")
        except SourceUnknownError as error:
            return _Outcome(REFUSED, f"SOURCE_UNKNOWN: {error}")
        except (*UNREACHABLE, _GoneError) as error:
            # One that is too large for the time that a statement has keeps no other waiting.
            if isinstance(error, asyncpg.QueryCanceledError):
                self._later(path, error)
            raise
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and not isinstance(error, _BY_THE_FILE):
                self._later(path, error)
            log.exception("a file cannot be read", extra={"file": printable(path.name)})
            return _Outcome(REFUSED, f"UNREADABLE: {error!r}")
        said = taken.statement
        return _Outcome(TAKEN, f"{said.id}: {said.rows_taken} rows taken, {said.rows_refused} refused")

    def _later(self, path: Path, error: Exception) -> NoReturn:
        log.warning("a file waits", extra={"file": printable(path.name), "error": repr(error)})
        raise _GoneError from error

    def _move(self, path: Path, mark: Mark, outcome: _Outcome) -> None:
        """Move a file with what is said of it. One that stays is told of once, and tried again at the next look."""
        folder, told = path.parent / outcome.folder, {"file": printable(path.name), "outcome": outcome.folder}
        said = f"{printable(outcome.said)}\n".encode()
        try:
            _check_is_same(path, mark)
            folder.mkdir(exist_ok=True)
            place, note = _places_in(folder, path.name, said)
            note.write_bytes(said)
            path.replace(place)
        except FileNotFoundError:
            raise _GoneError from None
        except OSError as error:
            if (path, mark) not in self._unmoved:
                log.warning("a file cannot be moved", extra=told | {"said": outcome.said, "error": repr(error)})
            self._unmoved[path, mark] = outcome
        else:
            log.info("file was looked at", extra=told | {"said": outcome.said})


def _whole_files(folder: Path, before_s: float) -> list[tuple[Path, Mark]]:
    """Return the files of a folder that nobody has changed since a moment. Raises OSError."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith(".part"):
            continue
        # Another worker may have moved it.
        with contextlib.suppress(FileNotFoundError):
            state = path.lstat()
            if stat.S_ISREG(state.st_mode) and state.st_mtime <= before_s:
                found.append((path, _mark_of(state)))
    return found


def _mark_of(state: os.stat_result) -> Mark:
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _check_is_same(path: Path, mark: Mark) -> None:
    """Raise _GoneError when a file is no longer what it was."""
    with contextlib.suppress(FileNotFoundError):
        if _mark_of(path.lstat()) == mark:
            return
    raise _GoneError


def _places_in(folder: Path, name: str, said: bytes) -> tuple[Path, Path]:
    """Return where a file and what is said of it go, so that nothing is lost that is there already."""
    for number in count(1):
        place = folder / _ending(name, f".{number}" if number > 1 else "")
        note = folder / _ending(place.name, _NOTE)
        if not os.path.lexists(place) and (not os.path.lexists(note) or _says(note, said)):
            return place, note
    raise AssertionError("numbers do not end")


def _says(note: Path, said: bytes) -> bool:
    """Whether a note is of a file that could not be moved after it was written."""
    return note.is_file() and note.stat().st_size == len(said) and note.read_bytes() == said


def _ending(name: str, ending: str) -> str:
    return os.fsdecode(os.fsencode(name)[: _NAME_BYTES_MAX - len(ending)]) + ending


def _read(path: Path, received: ReceivedFile) -> None:
    for piece in _pieces(path):
        received.add(piece)


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes. Raises FileRefusedError where they cannot be read, and _GoneError."""
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except FileNotFoundError:
        raise _GoneError from None
    except OSError as error:
        raise FileRefusedError("UNREADABLE", f"the file cannot be read: {error.strerror}") from None
