"""Statements for tests: what a source's file holds, and how it is read."""

import io
from collections.abc import Sequence
from typing import Any

from services.reconciliation.statements.fields import Line
from services.reconciliation.statements.intake import parsed_batches
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Mapping
from services.reconciliation.statements.problems import RefusedRow

DELIVERY = "0190a000-0000-7000-8000-0000000000aa"
PARTNER = "0190a000-0000-7000-8000-0000000000bb"
COLUMNS = {"reference": "ref", "payee": "to", "amount": "amount", "paid_at": "when"}
HEADER = "ref,to,amount,when,note\n"


def mapping(**changes: Any) -> Mapping:
    """A CSV with a reference, a payee, an amount and a moment."""
    return Mapping.model_validate({"format": "csv", "columns": COLUMNS} | changes)


def row(amount: str = "71.16", **changes: str) -> str:
    """A row of that CSV."""
    told = {"ref": DELIVERY, "to": PARTNER, "when": "2026-11-25T14:00:00Z", "note": "n", "end": "\n"} | changes
    return f"{told['ref']},{told['to']},{amount},{told['when']},{told['note']}{told['end']}"


def read(
    content: bytes | str, how: Mapping | None = None, limits: IntakeLimits | None = None
) -> tuple[list[Line], list[RefusedRow]]:
    """Return the lines and the refused rows of a file."""
    data = content.encode() if isinstance(content, str) else content
    batches = list(parsed_batches(io.BytesIO(data), len(data), how or mapping(), limits or IntakeLimits()))
    return [x for b in batches for x in b.lines], [x for b in batches for x in b.refused]


def reasons(rows: Sequence[RefusedRow]) -> list[str]:
    """Return why rows were refused."""
    return [row.reason for row in rows]
