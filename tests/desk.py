"""Cases for tests of the desk."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.reconciliation.exceptions.case import Case
from services.reconciliation.exceptions.lifecycle import CaseState

FOUND_AT = datetime(2026, 11, 20, tzinfo=UTC)
PARTNER = UUID("0190a000-0000-7000-8000-000000000001")
STATEMENT = UUID("0190a000-0000-7000-8000-000000000002")
DELIVERY = UUID("0190a000-0000-7000-8000-000000000003")
PAYEE = f"partner:{PARTNER}"
CLASSES = (
    "missing_payout", "unknown_delivery", "overpaid", "underpaid", "duplicate", "wrong_partner", "cash_mismatch",
    "cancelled_after_export", "late_adjustment",
)  # fmt: skip
_OVERPAID = Case(
    UUID(int=1), 1, "overpaid", "payout", DELIVERY, STATEMENT, 1, PAYEE, 5_000, 5_150, "{}", None, FOUND_AT,
    CaseState.OPEN, "", None,
)  # fmt: skip


def case(kind: str = "overpaid", expected_paise: int = 5_000, paid_paise: int = 5_150, **changes: Any) -> Case:
    """A case of a payout that a line was paid for, but for what is missing."""
    made = replace(_OVERPAID, kind=kind, expected_paise=expected_paise, paid_paise=paid_paise)
    if kind in ("missing_payout", "late_adjustment"):
        made = replace(made, statement_id=None, line=None)
    return replace(made, **changes)
