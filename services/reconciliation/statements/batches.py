"""Rows on their way from a format to their meaning: gathered into batches, so that memory is bounded. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.reconciliation.statements.fields import printable
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import FIELDS, Columns, Row
from services.reconciliation.statements.problems import FileRefusedError, RefusedRow


@dataclass(slots=True)
class Batch:
    """Rows as a list for each of FIELDS; they stand at `numbers` in the file.

    Of `refused` no row can be made; `refused_amounts` are what each of them says it is worth, or empty.
    """

    numbers: list[int] = field(default_factory=list)
    columns: tuple[list[str], ...] = field(default_factory=lambda: tuple([] for _ in FIELDS))
    refused: list[RefusedRow] = field(default_factory=list)
    refused_amounts: list[str] = field(default_factory=list)


class Batches:
    """Counts a file's rows, from 1, and gathers them."""

    def __init__(self, limits: IntakeLimits) -> None:
        self._limits = limits
        self._count = 0
        self._batch, self._chars = Batch(), 0

    def add(self, row: Row) -> None:
        """Add a row."""
        self._batch.numbers.append(self._next())
        for column, text in zip(self._batch.columns, row, strict=True):
            column.append(text)
        self._chars += sum(map(len, row))

    def add_columns(self, columns: Columns, chars: int) -> None:
        """Add rows that follow one another, at least one; `chars` are theirs."""
        first = self._next()
        self._count += len(columns[0]) - 1
        self._check()
        self._batch.numbers.extend(range(first, self._count + 1))
        for column, texts in zip(self._batch.columns, columns, strict=True):
            column.extend(texts)
        self._chars += chars

    def refuse(self, reason: str, said: str, content: str, amount: str = "") -> None:
        """Add a row that cannot be one; `amount` is the text of its amount, where it is known which that is."""
        said, kept = (printable(text[: self._limits.content_chars_max]) for text in (said, content))
        self._batch.refused.append(RefusedRow(self._next(), reason, said, kept))
        self._batch.refused_amounts.append(amount)
        self._chars += len(said) + len(kept) + len(amount)

    @property
    def is_full(self) -> bool:
        """Whether the batch is to be taken."""
        rows = len(self._batch.numbers) + len(self._batch.refused)
        return rows >= self._limits.batch_rows or self._chars >= self._limits.batch_chars_max

    def take(self) -> Iterator[Batch]:
        """Yield the batch, if there is anything in it, and begin another."""
        if self._batch.numbers or self._batch.refused:
            full, self._batch, self._chars = self._batch, Batch(), 0
            yield full

    def _next(self) -> int:
        self._count += 1
        self._check()
        return self._count

    def _check(self) -> None:
        if self._count > self._limits.rows_max:
            raise FileRefusedError("ROWS_TOO_MANY", f"more than {self._limits.rows_max} rows")
