"""Fixed width: each field stands at the same characters of every line, as in the files of bank mandates."""

from collections.abc import Iterator
from itertools import islice

from services.reconciliation.statements.batches import Batch, Batches
from services.reconciliation.statements.content import Content, as_text
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import FIELDS, Format, Mapping

FORMAT = Format.FIXED_WIDTH


def read(content: Content, mapping: Mapping, limits: IntakeLimits) -> Iterator[Batch]:
    """Yield the file's rows. Raises FileRefusedError."""
    batches = Batches(limits)
    spans = {field: mapping.span(field) for field in mapping.columns}
    reference, payee, amount, paid_at, leg, currency = (spans.get(field, slice(0, 0)) for field in FIELDS)
    length = max(span.stop for span in spans.values())
    for line in islice(as_text(content, mapping), mapping.skip_lines, None):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        if len(text) < length:
            is_last = len(text) == len(line)
            reason = "LAST_LINE_TRUNCATED" if is_last else "LINE_TOO_SHORT"
            batches.refuse(reason, f"it has {len(text)} characters, and the fields need {length}", text)
        else:
            batches.add((text[reference], text[payee], text[amount], text[paid_at], text[leg], text[currency]))
        if batches.is_full:
            yield from batches.take()
    yield from batches.take()
