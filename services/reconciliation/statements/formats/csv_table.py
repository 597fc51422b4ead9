"""CSV (RFC 4180): a header with the columns' names, then a row each; quoted fields may hold delimiters and line ends.

A quote that is never closed would take the rest of the file for one field: a record that spans too many lines is
refused, and what follows its first line is read as rows of their own.
"""

import csv
from collections.abc import Iterator
from operator import itemgetter

from services.reconciliation.statements.batches import Batch, Batches
from services.reconciliation.statements.content import Content, as_text
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import FIELDS, Format, Mapping, Row
from services.reconciliation.statements.problems import FileRefusedError

FORMAT = Format.CSV


class _RecordTooLongError(Exception):
    """A record spans more lines than any does."""


class _Lines:
    """The file's lines, with those of the record that is being read at hand."""

    def __init__(self, lines: Iterator[str], lines_max: int) -> None:
        self._lines, self._lines_max = lines, lines_max
        self._again: list[str] = []
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.record) >= self._lines_max:
            raise _RecordTooLongError
        line = self._again.pop() if self._again else next(self._lines)
        self.record.append(line)
        return line

    def back_to_second(self) -> str:
        """Give the lines after the record's first one again; return the first."""
        first, *others = self.record
        self._again.extend(reversed(others))
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
        # A field that the source does not have is the empty text after the record's last one.
        self.row_of = itemgetter(*(names.index(wanted[f]) if f in wanted else self.count for f in FIELDS))
        self.reads_last = bool(names) and names[-1] in wanted.values()


def read(content: Content, mapping: Mapping, limits: IntakeLimits) -> Iterator[Batch]:
    """Yield the file's rows. Raises FileRefusedError."""
    lines = _Lines(as_text(content, mapping), limits.record_lines_max)
    records = csv.reader(lines, delimiter=mapping.delimiter, strict=True)
    header = _header(records)
    lines.record.clear()
    columns = _Columns(header, mapping)
    batches = Batches(limits)
    row_of, count = columns.row_of, columns.count
    record = lines.record
    while True:
        try:
            for fields in records:
                if len(fields) == count and record[-1].endswith(("\n", "\r")):
                    fields.append("")
                    batches.add(row_of(fields))
                elif fields:
                    _add_odd(batches, columns, fields, record)
                record.clear()
                if batches.is_full:
                    yield from batches.take()
            break
        except (csv.Error, _RecordTooLongError) as error:
            _refuse_record(batches, lines, error)
            records = csv.reader(lines, delimiter=mapping.delimiter, strict=True)
    yield from batches.take()


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
        fields.append("")
        row: Row = columns.row_of(fields)
        batches.add(row)


def _refuse_record(batches: Batches, lines: _Lines, error: Exception) -> None:
    if isinstance(error, _RecordTooLongError) or "unexpected end of data" in str(error):
        reason, said = "QUOTE_UNCLOSED", "a quote is opened and not closed"
    else:
        reason, said = "ROW_UNREADABLE", f"it is no CSV: {error}"
    batches.refuse(reason, said, lines.back_to_second())
