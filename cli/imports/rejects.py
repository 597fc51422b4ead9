"""The rejects file: every row that was refused, where it stands, and why."""

import csv
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.imports.plan import Refusal

COLUMNS = ("file", "row", "id", "reason", "problem")
# A spreadsheet would run a cell that begins like this.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class RejectsFile:
    """Written row by row, so that an import that is stopped keeps what it found; removed when nothing was refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.reasons: dict[str, int] = {}

    def add(self, refusal: Refusal) -> None:
        """Write a refusal."""
        self.count += 1
        self.reasons[refusal.reason] = self.reasons.get(refusal.reason, 0) + 1
        origin = refusal.origin
        row = (origin.file, origin.row, _cell(origin.id), refusal.reason, _cell(refusal.problem))
        self._writer.writerow(row)
        self._file.flush()

    def __enter__(self) -> Self:
        self._file = self.path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self.count:
            self.path.unlink(missing_ok=True)


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
