"""JSON Lines: an object a line. Numbers are read as the text that they are, so no amount passes through a float."""

import json
from collections.abc import Iterator
from typing import Any

from services.reconciliation.statements.batches import Batch, Batches
from services.reconciliation.statements.content import Content, as_text
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import FIELDS, Format, Mapping, Row
from services.reconciliation.statements.problems import FieldError

FORMAT = Format.JSON_LINES


def read(content: Content, mapping: Mapping, limits: IntakeLimits) -> Iterator[Batch]:
    """Yield the file's rows. Raises FileRefusedError."""
    batches = Batches(limits)
    for line in as_text(content, mapping):
        if not line.strip():
            continue
        try:
            batches.add(_row(line, mapping))
        except FieldError as error:
            batches.refuse(error.reason, str(error), line)
        if batches.is_full:
            yield from batches.take()
    yield from batches.take()


def _row(line: str, mapping: Mapping) -> Row:
    try:
        value = json.loads(
            line, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_object_without_doubles
        )
    except RecursionError:
        raise FieldError("ROW_UNREADABLE", "it is nested too deep") from None
    except json.JSONDecodeError as error:
        if not line.endswith(("\n", "\r")):
            raise FieldError("LAST_LINE_TRUNCATED", "the file ends within this line") from None
        raise FieldError("ROW_UNREADABLE", f"it is no JSON: {error.msg}") from None
    if not isinstance(value, dict):
        raise FieldError("ROW_UNREADABLE", "it is no JSON object")
    reference, payee, amount, paid_at, leg, currency = (_text(value, mapping.columns.get(f)) for f in FIELDS)
    return reference, payee, amount, paid_at, leg, currency


def _text(value: dict[str, Any], key: str | None) -> str:
    found = value.get(key) if key else None
    if found is None:
        return ""
    if not isinstance(found, str):
        raise FieldError("FIELD_NOT_TEXT", f"{key} is neither a text nor a number")
    return found


def _object_without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FieldError("KEY_DUPLICATE", "it has a key twice")
    return found
