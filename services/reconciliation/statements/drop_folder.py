"""A watched folder: <folder>/<source code>/<file> is taken in, and moved below `taken` or `refused` beside it.

A file is looked at once it has not changed for a while; one whose name begins with a dot or ends with `.part` is still
being written. Who dies between taking a file in and moving it takes it in again, which changes nothing.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from libs.postgres.errors import UNREACHABLE
from services.reconciliation.statements.intake import ReceivedFile, SourceUnknownError, take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.problems import FileRefusedError

log = logging.getLogger("drop_folder")

_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PIECE_BYTES = 1024 * 1024
TAKEN, REFUSED = "taken", "refused"


class DropFolderLimits(BaseModel):
    """How the folder is watched."""

    model_config = ConfigDict(frozen=True)

    look_every_s: float = Field(5.0, gt=0, description="How often the folder is looked at")
    unchanged_s: float = Field(5.0, ge=0, description="How long a file must not have changed before it is read")


class DropFolder:
    """The folder of one process. Several may watch the same one: the database has each file once."""

    def __init__(self, primary: asyncpg.Pool, folder: Path, limits: DropFolderLimits, intake: IntakeLimits) -> None:
        self._primary, self._folder, self._limits, self._intake = primary, folder, limits, intake

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        while not stop.is_set():
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                await self.look()
            except UNREACHABLE as error:
                log.warning("the database is away", extra={"error": repr(error)})
            except OSError as error:
                log.warning("the folder cannot be read", extra={"error": repr(error)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.look_every_s):
                    await stop.wait()

    async def look(self) -> int:
        """Take in what is there; return how many files were looked at."""
        count = 0
        for path in await asyncio.to_thread(lambda: list(self._ready())):
            await self._take(path)
            count += 1
        return count

    def _ready(self) -> Iterator[Path]:
        before_s = datetime.now(UTC).timestamp() - self._limits.unchanged_s
        for folder in sorted(self._folder.iterdir()):
            if not _SOURCE.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                is_whole = not path.name.startswith(".") and not path.name.endswith(".part")
                if is_whole and path.is_file() and not path.is_symlink() and path.stat().st_mtime <= before_s:
                    yield path

    async def _take(self, path: Path) -> None:
        source_code = path.parent.name
        with ReceivedFile(self._intake) as received:
            try:
                await asyncio.to_thread(_read, path, received)
                async with self._primary.acquire() as connection, connection.transaction():
                    taken = await take_in(
                        connection, received, source_code, path.name, "drop folder", datetime.now(UTC), self._intake
                    )
            except FileRefusedError as error:
                self._move(path, REFUSED, f"{error.reason}: {error}\n")
                return
            except SourceUnknownError as error:
                self._move(path, REFUSED, f"SOURCE_UNKNOWN: {error}\n")
                return
        said = taken.statement
        self._move(path, TAKEN, f"{said.id}: {said.rows_taken} rows taken, {said.rows_refused} refused\n")

    def _move(self, path: Path, outcome: str, said: str) -> None:
        folder = path.parent / outcome
        folder.mkdir(exist_ok=True)
        (folder / f"{path.name}.txt").write_text(said)
        path.replace(folder / path.name)
        log.info("file was looked at", extra={"file": path.name, "outcome": outcome, "said": said.strip()})


def _read(path: Path, received: ReceivedFile) -> None:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            received.add(piece)
