"""Papers over gRPC for tests: what a stream brings, and a merchant whose month can be invoiced."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from google.protobuf import json_format
from lastmile.reconciliation.v1 import paper_pb2 as pb

from libs.ids import new_id
from services.reconciliation.deliveries import store as deliveries
from services.reconciliation.ledger import store as ledger
from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.earnings import earnings_of
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.facts import Change
from services.reconciliation.ledger.postings import delivery_postings, reversed_postings
from services.reconciliation.ledger.rates import RateCard
from services.reconciliation.papers.company import Company, Registration
from services.reconciliation.papers.issuing import Month
from services.reconciliation.papers.label import Label
from services.reconciliation.papers.limits import PaperLimits
from tests.ledger import ORDER, trip
from tests.made_up_papers import SUPPLIER, label_body

BENGALURU, MYSURU, MUMBAI = "PAPERSBLR", "PAPERSMYS", "PAPERSBOM"
COMPANY = Company(
    legal_name=SUPPLIER.legal_name,
    registrations=(
        Registration(gstin="29AAACL1234C1Z1", address=SUPPLIER.address, city_codes=(BENGALURU, MYSURU)),
        Registration(gstin="27AAPFU0939F1ZV", address="Andheri East\nMumbai 400069", city_codes=(MUMBAI,)),
    ),
)
RECIPIENT = pb.InvoiceRecipient(
    legal_name="राजेश Traders", address="14, 8th Main\nBengaluru 560034", state_code="29", gstin="29AABCN4321D1ZU"
)
LONG_AGO = Month.parse(f"{datetime.now(UTC) - timedelta(days=62):%Y-%m}")
LIMITS = PaperLimits(processes=1, piece_bytes=10_000)


@dataclass
class Sent:
    """What came of one paper."""

    head: pb.PaperHead | None = None
    error: pb.PaperError | None = None
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


def sheet_to(*labels: Label) -> pb.PaperRequest:
    """Labels as they are asked for."""
    sheet = json_format.ParseDict({"labels": [label_body(label) for label in labels]}, pb.LabelSheet())
    return pb.PaperRequest(labels=sheet)


async def rendered(stub: Any, metadata: Sequence[tuple[str, str]], *papers: pb.PaperRequest) -> list[Sent]:
    """What the stream brought, paper by paper; it must be in order."""
    request, found = pb.RenderPapersRequest(papers=papers), [Sent() for _ in papers]
    at = 0
    async for part in stub.RenderPapers(request, metadata=metadata, timeout=60):
        assert part.paper >= at
        at = part.paper
        if part.HasField("head"):
            found[at].head = part.head
        elif part.HasField("error"):
            found[at].error = part.error
        else:
            found[at].pieces.append(part.content)
    return found


@dataclass
class Books:
    """A merchant's entries in the ledger of a past month."""

    owner: asyncpg.Connection
    merchant_id: UUID
    entries: list[Entry] = field(default_factory=list)

    async def add(self, card: RateCard, city_code: str, count: int, undone: int = 0) -> None:
        """Add deliveries that were handed over, and undo some of them."""
        at = LONG_AGO.begins_at + timedelta(days=3)
        for number in range(count):
            made = trip(delivery_id=new_id(), merchant_id=self.merchant_id, city_code=city_code)
            order = replace(ORDER, merchant_id=self.merchant_id, city_code=city_code)
            change = Change(made.delivery_id, 1, new_id(), "pending", at, None, order)
            await deliveries.add_changes(self.owner, [change])
            earned = Entry(
                id=new_id(), kind=EntryKind.EARNINGS, cause_event_id=new_id(), event_ids=made.event_ids,
                delivery_id=made.delivery_id, merchant_id=self.merchant_id, partner_id=made.partner_id,
                partner_version=1, rate_card_id=card.id, reverses=None, corrects=None, occurred_at=at, booked_at=at,
                postings=delivery_postings(made, "", earnings_of(made, card.terms)),
            )  # fmt: skip
            self.entries.append(earned)
            if number < undone:
                self.entries.append(
                    replace(
                        earned, id=new_id(), kind=EntryKind.REVERSAL, cause_event_id=new_id(), reverses=earned.id,
                        postings=reversed_postings(earned.postings),
                    )
                )  # fmt: skip
        async with self.owner.transaction():
            await ledger.add(self.owner, self.entries)

    def paise(self, purpose: str) -> int:
        account = f"merchant:{self.merchant_id}"
        return sum(
            p.paise
            for entry in self.entries
            for p in entry.postings
            if (str(p.account), p.purpose) == (account, purpose)
        )


def issuing(merchant_id: UUID, state: str = "29", month: object = LONG_AGO, **changes: str) -> pb.IssueInvoiceRequest:
    recipient = pb.InvoiceRecipient()
    recipient.CopyFrom(RECIPIENT)
    for name, value in changes.items():
        setattr(recipient, name, value)
    return pb.IssueInvoiceRequest(
        merchant_id=str(merchant_id), supplier_state_code=state, month=str(month), recipient=recipient
    )
