"""Papers over gRPC: labels in a stream, and invoices that are issued once, numbered without gaps and never changed."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.protobuf import json_format
from lastmile.reconciliation.v1 import paper_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.log_position import position
from services.reconciliation.deliveries import store as deliveries
from services.reconciliation.ledger import store as ledger
from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.earnings import earnings_of
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.facts import Change
from services.reconciliation.ledger.postings import delivery_postings, reversed_postings
from services.reconciliation.papers.company import Company, Registration
from services.reconciliation.papers.issuing import Month
from services.reconciliation.papers.limits import PaperLimits
from services.reconciliation.papers.rendering import pdf
from tests.integration.services.reconciliation.conftest import OPS, LedgerApi, add_card, serving
from tests.integration.services.reconciliation.test_api import reason_of
from tests.invariants import FILES
from tests.ledger import ORDER, trip
from tests.made_up_papers import HARD_LABEL, LABEL, SUPPLIER, label_body, made_up_label, made_up_sheet

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


@pytest.fixture(scope="module")
async def api(embedded_servers: EmbeddedServers) -> AsyncIterator[LedgerApi]:
    async with serving(embedded_servers, reconciliation_company=COMPANY, reconciliation_papers=LIMITS) as made:
        yield made


@dataclass
class Sent:
    """What came of one paper."""

    head: pb.PaperHead | None = None
    error: pb.PaperError | None = None
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


def sheet_to(*labels: Any) -> pb.PaperRequest:
    sheet = json_format.ParseDict({"labels": [label_body(label) for label in labels]}, pb.LabelSheet())
    return pb.PaperRequest(labels=sheet)


async def rendered(api: LedgerApi, *papers: pb.PaperRequest, principal: Principal = OPS) -> list[Sent]:
    """What the stream brought, paper by paper; it must be in order."""
    request, found = pb.RenderPapersRequest(papers=papers), [Sent() for _ in papers]
    at = 0
    async for part in api.papers.RenderPapers(request, metadata=[api.credential(principal)], timeout=60):
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

    async def add(self, city_code: str, count: int, undone: int = 0) -> None:
        card = await add_card(self.owner, f"{city_code}{self.merchant_id.hex[-6:].upper()}")
        at = LONG_AGO.begins_at + timedelta(days=3)
        for number in range(count):
            made = trip(delivery_id=new_id(), merchant_id=self.merchant_id, city_code=city_code)
            order = replace(ORDER, merchant_id=self.merchant_id, city_code=city_code)
            change = Change(made.delivery_id, 1, new_id(), "pending", at, None, order)
            await deliveries.add_changes(self.owner, [change])
            earned = Entry(
                id=new_id(), kind=EntryKind.EARNINGS, cause_event_id=new_id(), event_ids=made.event_ids,
                delivery_id=made.delivery_id, merchant_id=self.merchant_id, partner_id=made.partner_id,
                partner_version=1, rate_card_id=card.id, reverses=None, occurred_at=at, booked_at=at,
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


@pytest.fixture
def books(owner: asyncpg.Connection) -> Books:
    return Books(owner, new_id())


def issuing(merchant_id: UUID, state: str = "29", month: object = LONG_AGO, **changes: str) -> pb.IssueInvoiceRequest:
    recipient = pb.InvoiceRecipient()
    recipient.CopyFrom(RECIPIENT)
    for name, value in changes.items():
        setattr(recipient, name, value)
    return pb.IssueInvoiceRequest(
        merchant_id=str(merchant_id), supplier_state_code=state, month=str(month), recipient=recipient
    )


async def test_papers_come_in_order_and_in_pieces_as_they_would_be_made_here(api: LedgerApi) -> None:
    sheets = [made_up_sheet(seed, labels=3) for seed in range(7)]
    sent = await rendered(api, *(sheet_to(*sheet.labels) for sheet in sheets))
    for sheet, paper in zip(sheets, sent, strict=True):
        assert paper.content == pdf(sheet)
        assert paper.head is not None
        assert paper.head.size_bytes == len(paper.content)
        assert paper.head.content_sha256 == hashlib.sha256(paper.content).hexdigest()
        assert paper.head.file_name == f"labels-{sheet.labels[0].delivery_id}.pdf"
        assert max(map(len, paper.pieces)) == LIMITS.piece_bytes


async def test_one_bad_paper_is_told_in_its_place_and_costs_no_other(api: LedgerApi) -> None:
    bad = sheet_to(LABEL, replace(LABEL, reference="क"), LABEL)
    no_day = sheet_to(LABEL)
    no_day.labels.labels[0].dispatched_on = "2026-02-30"
    unknown = pb.PaperRequest(invoice_id=str(new_id()))
    sent = await rendered(api, sheet_to(LABEL), bad, no_day, unknown, pb.PaperRequest(), sheet_to(HARD_LABEL))
    assert [paper.error.reason if paper.error else "" for paper in sent] == [
        "", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "INVOICE_NOT_FOUND", "INVALID_ARGUMENT", "",
    ]  # fmt: skip
    assert [v.field for v in sent[1].error.field_violations] == ["labels.labels[1].reference"]
    assert [v.field for v in sent[2].error.field_violations] == ["labels.labels[0].dispatched_on"]
    assert sent[0].content.startswith(b"%PDF")
    assert sent[5].content.startswith(b"%PDF")


async def test_who_goes_away_leaves_the_server_as_it_was(api: LedgerApi) -> None:
    papers = [sheet_to(*made_up_sheet(seed, labels=20).labels) for seed in range(30)]
    call = api.papers.RenderPapers(pb.RenderPapersRequest(papers=papers), metadata=[api.credential(OPS)], timeout=60)
    await anext(aiter(call))
    call.cancel()
    assert (await rendered(api, sheet_to(LABEL)))[0].content.startswith(b"%PDF")


async def test_an_invoice_says_what_the_ledger_says(api: LedgerApi, books: Books) -> None:
    await books.add(BENGALURU, 3, undone=1)
    await books.add(MYSURU, 2)
    await books.add(MUMBAI, 1)
    in_karnataka = [entry for entry in books.entries if entry is not books.entries[-1]]
    made = (await api.ask(api.papers.IssueInvoice, issuing(books.merchant_id))).invoice
    books.entries = in_karnataka
    assert made.taxable_paise == books.paise("fee")
    assert made.cgst_paise + made.sgst_paise == books.paise("gst")
    assert (made.igst_paise, made.place_of_supply, made.month) == (0, "29", str(LONG_AGO))
    assert made.payable_paise % 100 == 0
    paper = (await rendered(api, pb.PaperRequest(invoice_id=made.id)))[0]
    assert hashlib.sha256(paper.content).hexdigest() == made.content_sha256
    assert paper.head is not None
    assert paper.head.file_name == f"{made.number.replace('/', '-')}.pdf"
    gaps = next(path for path in FILES if path.stem == "invoices_have_no_gaps")
    assert await books.owner.fetch(gaps.read_text()) == []


async def test_a_buyer_elsewhere_owes_integrated_tax(api: LedgerApi, books: Books) -> None:
    await books.add(BENGALURU, 2)
    request = issuing(books.merchant_id, state_code="27", gstin="27AABCN4321D1ZY")
    made = (await api.ask(api.papers.IssueInvoice, request)).invoice
    assert (made.cgst_paise, made.sgst_paise, made.place_of_supply) == (0, 0, "27")
    assert made.igst_paise == books.paise("gst")


async def test_the_same_invoice_is_issued_once_whoever_asks_and_how_often(api: LedgerApi, books: Books) -> None:
    await books.add(BENGALURU, 1)
    request = issuing(books.merchant_id)
    answers = await asyncio.gather(*(api.ask(api.papers.IssueInvoice, request) for _ in range(5)))
    assert sorted(answer.was_there for answer in answers) == [False, True, True, True, True]
    assert len({answer.invoice.id for answer in answers}) == 1
    changed = issuing(books.merchant_id, legal_name="Another name")
    assert (await api.ask(api.papers.IssueInvoice, changed)).invoice == answers[0].invoice


async def test_numbers_have_no_gap_under_concurrency_and_failures(api: LedgerApi, owner: asyncpg.Connection) -> None:
    merchants = [Books(owner, new_id()) for _ in range(6)]
    for books in merchants[:4]:
        await books.add(BENGALURU, 1)
    asked = [api.ask(api.papers.IssueInvoice, issuing(books.merchant_id)) for books in merchants]
    made = [
        answer.invoice for answer in await asyncio.gather(*asked, return_exceptions=True) if hasattr(answer, "invoice")
    ]
    assert len(made) == 4
    numbers = sorted(int(invoice.number.rpartition("/")[2]) for invoice in made)
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert {invoice.number.partition("/")[0] for invoice in made} == {"KA"}
    with pytest.raises(asyncpg.CheckViolationError, match="leave a number out"):
        await owner.execute(
            "INSERT INTO reconciliation.invoices SELECT gen_random_uuid(), 'X', state_code, financial_year, 999999, "
            "gen_random_uuid(), month, place_of_supply, taxable_paise, cgst_paise, sgst_paise, igst_paise, "
            "rounding_paise, payable_paise, content_sha256, issued_at, issued_by, content, pdf "
            "FROM reconciliation.invoices LIMIT 1"
        )
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changes"):
        await owner.execute("UPDATE reconciliation.invoices SET payable_paise = 100")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "33"}, "SUPPLIER_NOT_REGISTERED"),
        ({"month": f"{datetime.now(UTC) + timedelta(days=1):%Y-%m}"}, "MONTH_NOT_OVER"),
        ({}, "NOTHING_TO_INVOICE"),
        ({"gstin": "29AABCN4321D1ZX"}, "INVALID_ARGUMENT"),
        ({"gstin": "27AABCN4321D1ZY"}, "INVALID_ARGUMENT"),
        ({"state_code": "99", "gstin": ""}, "INVALID_ARGUMENT"),
    ],
)
async def test_what_cannot_be_issued_has_a_reason(api: LedgerApi, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.ask(api.papers.IssueInvoice, issuing(new_id(), **changes))
    assert reason_of(error.value) == reason


async def test_a_month_whose_fees_were_all_taken_back_has_no_invoice(api: LedgerApi, books: Books) -> None:
    await books.add(BENGALURU, 2, undone=2)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.ask(api.papers.IssueInvoice, issuing(books.merchant_id))
    assert reason_of(error.value) == "NOTHING_TO_INVOICE"


async def test_a_merchant_sees_its_own_invoices_and_prints_labels(api: LedgerApi, books: Books) -> None:
    other = Books(books.owner, new_id())
    for one in (books, other):
        await one.add(BENGALURU, 1)
    mine, theirs = [
        (await api.ask(api.papers.IssueInvoice, issuing(one.merchant_id))).invoice for one in (books, other)
    ]
    api.has_seen(await position(books.owner))
    me = Principal("shop", Role.MERCHANT, merchant_id=str(books.merchant_id))
    assert (await api.ask(api.papers.GetInvoice, pb.GetInvoiceRequest(invoice_id=mine.id), me)).invoice == mine
    listed = await api.ask(api.papers.ListInvoices, pb.ListInvoicesRequest(), me)
    assert list(listed.invoices) == [mine]
    page = await api.ask(api.papers.ListInvoices, pb.ListInvoicesRequest(page_size=1))
    rest = pb.ListInvoicesRequest(page_size=1, page_token=page.next_page_token)
    assert [page.invoices[0], (await api.ask(api.papers.ListInvoices, rest)).invoices[0]] == [theirs, mine]
    for request in (pb.GetInvoiceRequest(invoice_id=theirs.id),):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await api.ask(api.papers.GetInvoice, request, me)
        assert reason_of(error.value) == "INVOICE_NOT_FOUND"
    sent = await rendered(
        api, pb.PaperRequest(invoice_id=mine.id), pb.PaperRequest(invoice_id=theirs.id), sheet_to(made_up_label(1)),
        principal=me,
    )  # fmt: skip
    assert [paper.error.reason if paper.error else "" for paper in sent] == ["", "INVOICE_NOT_FOUND", ""]
    partner = Principal("rider", Role.PARTNER, partner_id=str(new_id()))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await rendered(api, sheet_to(LABEL), principal=partner)
    assert reason_of(error.value) == "ROLE_NOT_ALLOWED"


def test_the_environment_names_the_company_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LASTMILE_RECONCILIATION_COMPANY" not in os.environ
    assert Company.model_validate_json(COMPANY.model_dump_json()) == COMPANY
    with pytest.raises(ValueError, match="one registration"):
        Company(legal_name="x", registrations=COMPANY.registrations[:1] * 2)
    with pytest.raises(ValueError, match="check digit"):
        Registration(gstin="29AAACL1234C1Z2", address="x", city_codes=("BLR",))
