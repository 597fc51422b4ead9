"""Invoices over gRPC: issued once from the ledger, numbered without gaps, and never changed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from lastmile.reconciliation.v1 import paper_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.log_position import position
from tests.integration.services.reconciliation.conftest import LedgerApi, add_card, serving
from tests.integration.services.reconciliation.test_api import reason_of
from tests.invariants import FILES
from tests.made_up_papers import made_up_label
from tests.papers import (
    BENGALURU,
    COMPANY,
    LIMITS,
    LONG_AGO,
    MUMBAI,
    MYSURU,
    Books,
    issuing,
    rendered,
    sheet_to,
)


@pytest.fixture(scope="module")
async def api(embedded_servers: EmbeddedServers) -> AsyncIterator[LedgerApi]:
    async with serving(embedded_servers, reconciliation_company=COMPANY, reconciliation_papers=LIMITS) as made:
        yield made


@pytest.fixture
def books(owner: asyncpg.Connection) -> Books:
    return Books(owner, new_id())


async def add(books: Books, city_code: str, count: int, undone: int = 0) -> None:
    """Add deliveries of a city to a merchant's month; every merchant has rate cards of its own."""
    card = await add_card(books.owner, f"{city_code}{books.merchant_id.hex[-6:].upper()}")
    await books.add(card, city_code, count, undone)


async def test_an_invoice_says_what_the_ledger_says(api: LedgerApi, books: Books) -> None:
    await add(books, BENGALURU, 3, undone=1)
    await add(books, MYSURU, 2)
    await add(books, MUMBAI, 1)
    in_karnataka = [entry for entry in books.entries if entry is not books.entries[-1]]
    made = (await api.ask(api.papers.IssueInvoice, issuing(books.merchant_id))).invoice
    books.entries = in_karnataka
    assert made.taxable_paise == books.paise("fee")
    assert made.cgst_paise + made.sgst_paise == books.paise("gst")
    assert (made.igst_paise, made.place_of_supply, made.month) == (0, "29", str(LONG_AGO))
    assert made.payable_paise % 100 == 0
    paper = (await rendered(api.papers, api.metadata(), pb.PaperRequest(invoice_id=made.id)))[0]
    assert hashlib.sha256(paper.content).hexdigest() == made.content_sha256
    assert paper.head is not None
    assert paper.head.file_name == f"{made.number.replace('/', '-')}.pdf"
    gaps = next(path for path in FILES if path.stem == "invoices_have_no_gaps")
    assert await books.owner.fetch(gaps.read_text()) == []


async def test_a_buyer_elsewhere_owes_integrated_tax(api: LedgerApi, books: Books) -> None:
    await add(books, BENGALURU, 2)
    request = issuing(books.merchant_id, state_code="27", gstin="27AABCN4321D1ZY")
    made = (await api.ask(api.papers.IssueInvoice, request)).invoice
    assert (made.cgst_paise, made.sgst_paise, made.place_of_supply) == (0, 0, "27")
    assert made.igst_paise == books.paise("gst")


async def test_the_same_invoice_is_issued_once_whoever_asks_and_how_often(api: LedgerApi, books: Books) -> None:
    await add(books, BENGALURU, 1)
    request = issuing(books.merchant_id)
    answers = await asyncio.gather(*(api.ask(api.papers.IssueInvoice, request) for _ in range(5)))
    assert sorted(answer.was_there for answer in answers) == [False, True, True, True, True]
    assert len({answer.invoice.id for answer in answers}) == 1
    changed = issuing(books.merchant_id, legal_name="Another name")
    assert (await api.ask(api.papers.IssueInvoice, changed)).invoice == answers[0].invoice


async def test_numbers_have_no_gap_under_concurrency_and_failures(api: LedgerApi, owner: asyncpg.Connection) -> None:
    merchants = [Books(owner, new_id()) for _ in range(6)]
    for books in merchants[:4]:
        await add(books, BENGALURU, 1)
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
    await add(books, BENGALURU, 2, undone=2)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.ask(api.papers.IssueInvoice, issuing(books.merchant_id))
    assert reason_of(error.value) == "NOTHING_TO_INVOICE"


async def test_a_merchant_sees_its_own_invoices_and_prints_labels(api: LedgerApi, books: Books) -> None:
    other = Books(books.owner, new_id())
    for one in (books, other):
        await add(one, BENGALURU, 1)
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
    papers = [pb.PaperRequest(invoice_id=mine.id), pb.PaperRequest(invoice_id=theirs.id), sheet_to(made_up_label(1))]
    sent = await rendered(api.papers, api.metadata(me), *papers)
    assert [paper.error.reason if paper.error else "" for paper in sent] == ["", "INVOICE_NOT_FOUND", ""]
