"""CSV (RFC 4180): a header with the columns' names, then a row each; quoted fields may hold delimiters and line ends.

A quote that is never closed would take the rest of the file for one field: a record that spans too many lines is
refused, and what follows its first line is read as rows of their own.
"""

import csv
import io
from collections.abc import Iterator
from operator import methodcaller

from services.reconciliation.statements.batches import Batch, Batches
from services.reconciliation.statements.content import Content, as_text
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import FIELDS, Columns, Format, Mapping, Row
from services.reconciliation.statements.problems import FileRefusedError

FORMAT = Format.CSV


class _RecordTooLongError(Exception):
    """A record spans more lines than any does."""


class _Lines:
    """The file's lines, with those of the record that is being read at hand."""

    def __init__(self, text: io.TextIOBase, limits: IntakeLimits) -> None:
        self._text, self._limits = text, limits
        # The next ones, the last one first.
        self._ahead: list[str] = []
        self.record: list[str] = []
        self.given = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.record) >= self._limits.record_lines_max:
            raise _RecordTooLongError
        line = self._ahead.pop() if self._ahead else next(self._text)
        self.given += 1
        self.record.append(line)
        return line

    def block(self) -> list[str]:
        """Return some of the next lines, which are none of the record; none at the end."""
        if not self._ahead:
            self._ahead = self._text.readlines(self._limits.batch_chars_max)[::-1]
        found = self._ahead[: -self._limits.batch_rows - 1 : -1]
        del self._ahead[-self._limits.batch_rows :]
        return found

    def back(self, lines: list[str]) -> None:
        """Have lines come again."""
        self._ahead.extend(reversed(lines))

    def back_to_second(self) -> str:
        """Have the lines after the record's first one come again; return the first."""
        first, *others = self.record
        self.back(others)
        self.given -= len(others)
        self.record.clear()
        return first


class _Columns:
    """Which columns of a record are the fields of a row."""

    def __init__(self, header: list[str], mapping: Mapping) -> None:
        names = [name.strip() for name in header]
        if doubled := sorted({name for name in names if name and names.count(name) > 1}):
            raise FileRefusedError("HEADER_DUPLICATE", f"more than one column is called {', '.join(doubled)[:200]}")
        wanted = mapping.columns
        if missing := sorted(set(wanted.values()) - set(names)):
            raise FileRefusedError("COLUMN_MISSING", f"no column is called {', '.join(missing)[:200]}")
        self.count = len(names)
        # Where each field is; None is a field that the source does not have.
        self._places = [names.index(wanted[name]) if name in wanted else None for name in FIELDS]
        self.reads_last = bool(names) and names[-1] in wanted.values()

    def row_of(self, fields: list[str]) -> Row:
        """Return the row of a record that has every column."""
        reference, payee, amount, paid_at, leg, currency = ("" if p is None else fields[p] for p in self._places)
        return reference, payee, amount, paid_at, leg, currency

    def rows_of(self, fields: list[str], rows: int) -> Columns:
        """Return the rows of records that have every column, from all their fields."""
        nothing = [""] * rows
        return [nothing if p is None else fields[p :: self.count] for p in self._places]


def read(content: Content, mapping: Mapping, limits: IntakeLimits) -> Iterator[Batch]:
    """Yield the file's rows. Raises FileRefusedError."""
    lines = _Lines(as_text(content, mapping), limits)
    header = _header(csv.reader(lines, delimiter=mapping.delimiter, strict=True))
    lines.record.clear()
    columns = _Columns(header, mapping)
    batches = Batches(limits)
    while block := lines.block():
        if fields := _plain_fields(block, columns, mapping.delimiter):
            batches.add_columns(columns.rows_of(fields, len(block)), sum(map(len, block)))
        else:
            lines.back(block)
            _read_carefully(lines, len(block), columns, mapping.delimiter, batches)
        if batches.is_full:
            yield from batches.take()
    yield from batches.take()


def _plain_fields(block: list[str], columns: _Columns, delimiter: str) -> list[str]:
    """Return the fields of lines of which each is one record of every column; none when it takes a closer look."""
    text = "".join(block)
    end = "\r\n" if text.endswith("\r\n") else "\n"
    if '"' in text or not text.endswith(end) or (end == "\n" and "\r" in text) or columns.count == 1:
        return []
    if set(map(methodcaller("count", delimiter), block)) != {columns.count - 1}:
        return []
    fields = text.removesuffix(end).replace(end, delimiter).split(delimiter)
    # Fewer where a line ends otherwise than the last one.
    return fields if len(fields) == len(block) * columns.count else []


def _read_carefully(lines: _Lines, count: int, columns: _Columns, delimiter: str, batches: Batches) -> None:
    """Read records until so many lines are read, or a few more, where the last one goes on."""
    until = lines.given + count
    records = csv.reader(lines, delimiter=delimiter, strict=True)
    while lines.given < until:
        try:
            fields = next(records)
        except (csv.Error, _RecordTooLongError) as error:
            _refuse_record(batches, lines, error)
            records = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        if len(fields) == columns.count and lines.record[-1].endswith(("\n", "\r")):
            batches.add(columns.row_of(fields))
        elif fields:
            _add_odd(batches, columns, fields, lines.record)
        lines.record.clear()


def _header(records: Iterator[list[str]]) -> list[str]:
    try:
        return next(records)
    except StopIteration:
        raise FileRefusedError("FILE_EMPTY", "there is not even a header") from None
    except (csv.Error, _RecordTooLongError) as error:
        raise FileRefusedError("HEADER_UNREADABLE", f"the first line is no header: {error}") from None


def _add_odd(batches: Batches, columns: _Columns, fields: list[str], record: list[str]) -> None:
    """Add a record with too many or too few fields, or whose line does not end."""
    content = "".join(record)
    is_unended = not content.endswith(("\n", "\r"))
    if is_unended and (len(fields) < columns.count or (columns.reads_last and not content.endswith('"'))):
        said = "the file ends within this line: whether its last field is whole cannot be known"
        batches.refuse("LAST_LINE_TRUNCATED", said, content)
    elif len(fields) != columns.count:
        batches.refuse("FIELDS_COUNT", f"it has {len(fields)} fields, and the header {columns.count}", content)
    else:
        batches.add(columns.row_of(fields))


def _refuse_record(batches: Batches, lines: _Lines, error: Exception) -> None:
    if isinstance(error, _RecordTooLongError) or "unexpected end of data" in str(error):
        reason, said = "QUOTE_UNCLOSED", "a quote is opened and not closed"
    else:
        reason, said = "ROW_UNREADABLE", f"it is no CSV: {error}"
    batches.refuse(reason, said, lines.back_to_second())
