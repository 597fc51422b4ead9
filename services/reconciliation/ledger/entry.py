"""An entry of the ledger, as it is stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.postings import Posting


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry and its postings. `occurred_at` is when its cause happened, `booked_at` when the ledger learnt of it."""

    id: UUID
    kind: EntryKind
    cause_event_id: UUID
    event_ids: tuple[UUID, ...]
    delivery_id: UUID
    merchant_id: UUID
    partner_id: UUID
    partner_version: int
    rate_card_id: UUID
    reverses: UUID | None
    corrects: UUID | None
    occurred_at: datetime
    booked_at: datetime
    postings: tuple[Posting, ...]
