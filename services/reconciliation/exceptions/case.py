"""A case of the desk, and what is decided about cases. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.reconciliation.exceptions.lifecycle import CaseState


@dataclass(frozen=True, slots=True)
class Case:
    """A discrepancy, and how far the desk is with it."""

    id: UUID
    run_no: int
    # The class of the discrepancy.
    kind: str
    # payout or cash.
    leg: str
    delivery_id: UUID | None
    statement_id: UUID | None
    line: int | None
    # An account of the ledger.
    payee: str
    expected_paise: int
    paid_paise: int
    # What it is concluded from, as JSON.
    evidence: str
    settled_run_no: int | None
    found_at: datetime
    state: CaseState
    assignee: str
    # What it was resolved by, or is proposed to be; None for what a run has settled.
    resolution_id: UUID | None

    @property
    def rest_paise(self) -> int:
        """By how much more was paid than should have been. What went to the wrong one, all of it."""
        return self.paid_paise if self.kind == "wrong_partner" else self.paid_paise - self.expected_paise

    @property
    def written_off_paise(self) -> int:
        """How much of what was undone since the desk had given up, and its payee has not got."""
        return int(json.loads(self.evidence).get("written_off_paise") or 0)

    @property
    def is_open_line(self) -> bool:
        """Whether a line waits for runs to settle it."""
        return self.kind == "unknown_delivery"

    @property
    def is_open_leg(self) -> bool:
        """Whether a leg waits for runs to settle it."""
        return self.line is None and self.kind != "late_adjustment"


class Outcome(StrEnum):
    """What became of what was proposed."""

    APPROVED = "approved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is decided about one or several cases, or proposed."""

    id: UUID
    kind: str
    cases_count: int
    # What is at stake, at least 0; above the limit one proposes and another decides. None is no limit.
    amount_paise: int
    limit_paise: int | None
    note: str
    proposed_by: str
    proposed_at: datetime
    outcome: Outcome | None = None
    decided_by: str = ""
    decided_at: datetime | None = None
    decided_note: str = ""

    @property
    def needs_approval(self) -> bool:
        """Whether one person may not decide it alone."""
        return self.limit_paise is not None and self.amount_paise > self.limit_paise
