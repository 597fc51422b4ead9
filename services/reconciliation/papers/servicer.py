"""PaperService: translates between the calls and the noun's rules, pool and store."""

import asyncio
import hashlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from lastmile.reconciliation.v1 import paper_pb2 as pb
from lastmile.reconciliation.v1 import paper_pb2_grpc

from libs.grpc_server import paging, validation
from libs.grpc_server.call import Call, current_call
from libs.grpc_server.errors import PermissionDeniedError, ServiceError
from libs.grpc_server.identity import Role
from libs.ids import new_id
from libs.postgres.errors import translate
from services.reconciliation.database import Database
from services.reconciliation.errors import (
    CycleNotClosedError,
    InvoiceNotFoundError,
    MonthNotOverError,
    NothingToInvoiceError,
    SettlementNotFoundError,
    SupplierNotRegisteredError,
)
from services.reconciliation.ledger.postings import Account, AccountKind, merchant
from services.reconciliation.ledger.visibility import may_see
from services.reconciliation.papers import store
from services.reconciliation.papers.codec import error_to, invoice_to, recipient_from, sheet_from
from services.reconciliation.papers.company import Company, Registration
from services.reconciliation.papers.gst import STATES, TaxKind, financial_year, invoice_number
from services.reconciliation.papers.invoice import Invoice, TaxParty
from services.reconciliation.papers.issuing import INDIA, Month, lines_of
from services.reconciliation.papers.limits import PaperLimits
from services.reconciliation.papers.pool import RenderPool
from services.reconciliation.papers.settled import printed
from services.reconciliation.papers.store import IssuedInvoice
from services.reconciliation.settlements.reading import store as settlements
from services.reconciliation.settlements.statement import Statement

log = logging.getLogger("papers")


class PaperServicer(paper_pb2_grpc.PaperServiceServicer):
    """Answers PaperService."""

    def __init__(self, database: Database, pool: RenderPool, company: Company, limits: PaperLimits) -> None:
        self._database = database
        self._pool = pool
        self._company = company
        self._limits = limits
        self._issuing = asyncio.Lock()

    async def RenderPapers(  # noqa: N802 - named by the proto
        self, request: pb.RenderPapersRequest, context: Any
    ) -> AsyncIterator[pb.RenderPapersResponse]:
        """Send papers in their order, each in pieces, while the next ones are rendered."""
        call, ahead = current_call(), deque[asyncio.Task[tuple[str, bytes]]]()
        wanted = iter(request.papers)
        try:
            for place in range(len(request.papers)):
                while len(ahead) < self._limits.ahead_max and (paper := next(wanted, None)) is not None:
                    ahead.append(asyncio.create_task(self._made(call, paper)))
                async for piece in self._pieces(place, ahead.popleft()):
                    yield piece
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def IssueInvoice(  # noqa: N802 - named by the proto
        self, request: pb.IssueInvoiceRequest, context: Any
    ) -> pb.IssueInvoiceResponse:
        """Issue an invoice, with its number and its bytes, or answer with the one that is there."""
        call, now = current_call(), datetime.now(UTC)
        recipient, month = recipient_from(request.recipient), Month.parse(request.month)
        registration = self._company.registration(request.supplier_state_code)
        if registration is None:
            said = f"the company has no registration in the state {request.supplier_state_code}"
            raise SupplierNotRegisteredError(f"{said}: LASTMILE_RECONCILIATION_COMPANY tells those that it has")
        if now < (settled_at := month.next.begins_at + timedelta(seconds=self._limits.month_settles_s)):
            told = {"from": settled_at.isoformat()}
            raise MonthNotOverError(f"{month} can be invoiced from {settled_at.isoformat()} on", metadata=told)
        merchant_id, state_code = UUID(request.merchant_id), registration.state_code
        # Numbers are given one after another anyway, and whoever waits holds no connection.
        async with self._issuing, self._database.command(call) as connection:
            await store.lock(connection, state_code)
            there = await store.same(connection, merchant_id, state_code, month.first_day)
            if there is not None:
                return pb.IssueInvoiceResponse(invoice=invoice_to(there), was_there=True)
            year = financial_year(now.astimezone(INDIA).date())
            sequence = await store.last_sequence(connection, state_code, year) + 1
            number = invoice_number(STATES[state_code], year, sequence)
            invoice = await self._invoice(connection, merchant_id, registration, recipient, month, number, now)
            pdf = await self._pool.pdf(invoice)
            issued = _issued(invoice, year, sequence, merchant_id, pdf, now, call.principal.subject)
            content = json.dumps(asdict(invoice), ensure_ascii=False, default=str)
            await store.add(connection, issued, content, pdf)
        return pb.IssueInvoiceResponse(invoice=invoice_to(issued))

    async def GetInvoice(  # noqa: N802 - named by the proto
        self, request: pb.GetInvoiceRequest, context: Any
    ) -> pb.GetInvoiceResponse:
        """Return one invoice."""
        async with self._database.query(current_call()) as connection:
            found = await store.get(connection, UUID(request.invoice_id))
        if found is None:
            raise _no_invoice(request.invoice_id)
        return pb.GetInvoiceResponse(invoice=invoice_to(found))

    async def ListInvoices(  # noqa: N802 - named by the proto
        self, request: pb.ListInvoicesRequest, context: Any
    ) -> pb.ListInvoicesResponse:
        """List invoices, the youngest first."""
        call, size = current_call(), paging.page_size(request)
        merchant_id = UUID(request.merchant_id) if request.merchant_id else None
        before_id = paging.decode_id(request)
        async with self._database.query(call) as connection:
            found = await store.search(connection, merchant_id, before_id, size + 1)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return pb.ListInvoicesResponse(invoices=map(invoice_to, found[:size]), next_page_token=token)

    async def _made(self, call: Call, paper: pb.PaperRequest) -> tuple[str, bytes]:
        """Return a paper's file name and bytes."""
        validation.check(paper)
        if call.principal.role is Role.PARTNER and not paper.HasField("settlement"):
            raise PermissionDeniedError("a partner's papers are its statements", reason="ROLE_NOT_ALLOWED")
        if paper.HasField("labels"):
            sheet = sheet_from(paper.labels)
            return f"labels-{sheet.labels[0].delivery_id}.pdf", await self._pool.pdf(sheet)
        if paper.HasField("settlement"):
            statement = await self._statement(call, paper.settlement)
            name = f"statement-{paper.settlement.cycle_no}-{paper.settlement.party_owner}.pdf"
            shown = printed(statement, self._company.legal_name, self._limits.statement_lines_max)
            return name, await self._pool.pdf(shown)
        async with self._database.query(call) as connection:
            found = await store.paper(connection, UUID(paper.invoice_id))
        if found is None:
            raise _no_invoice(paper.invoice_id)
        number, pdf = found
        return f"{number.replace('/', '-')}.pdf", pdf

    async def _statement(self, call: Call, asked: pb.SettlementPaper) -> Statement:
        party, found = Account(AccountKind(asked.party_kind), asked.party_owner), None
        if may_see(call.principal, party):
            async with self._database.query(call) as connection:
                cycle = await settlements.cycle(connection, asked.cycle_no)
                found = await settlements.totals(connection, cycle, str(party)) if cycle else None
                if found and found.totals.lines_count <= self._limits.statement_lines_max:
                    lines = await settlements.lines(connection, asked.cycle_no, str(party))
                    found = replace(found, lines=tuple(lines))
        if found is None:
            raise SettlementNotFoundError(f"{party} has no statement of cycle {asked.cycle_no} that you may see")
        if found.cycle.closed_at is None:
            raise CycleNotClosedError(f"cycle {asked.cycle_no} is not closed yet")
        return found

    async def _pieces(
        self, place: int, task: asyncio.Task[tuple[str, bytes]]
    ) -> AsyncIterator[pb.RenderPapersResponse]:
        try:
            name, pdf = await task
        except Exception as error:  # noqa: BLE001 - told in the paper's place, and logged when it is none of ours
            yield pb.RenderPapersResponse(paper=place, error=error_to(_known(error)))
            return
        head = pb.PaperHead(file_name=name, size_bytes=len(pdf), content_sha256=hashlib.sha256(pdf).hexdigest())
        yield pb.RenderPapersResponse(paper=place, head=head)
        for start in range(0, len(pdf), self._limits.piece_bytes):
            yield pb.RenderPapersResponse(paper=place, content=pdf[start : start + self._limits.piece_bytes])

    async def _invoice(
        self, connection: asyncpg.Connection, merchant_id: UUID, registration: Registration, recipient: TaxParty,
        month: Month, number: str, now: datetime,
    ) -> Invoice:  # fmt: skip
        """Return an invoice of what the ledger has; NothingToInvoiceError."""
        account = str(merchant(merchant_id))
        cities = list(registration.city_codes)
        fees = await store.fees(connection, account, month.begins_at, month.next.begins_at, cities)
        supplier = TaxParty(self._company.legal_name, registration.address, registration.state_code, registration.gstin)
        invoice = Invoice(
            number=number,
            issued_on=now.astimezone(INDIA).date(),
            first_day=month.first_day,
            last_day=month.last_day,
            supplier=supplier,
            recipient=recipient,
            sac=self._company.sac,
            lines=lines_of(fees),
        )
        if not fees or invoice.payable_paise <= 0:
            raise NothingToInvoiceError(f"the ledger has nothing of {account} to invoice for {month} in this state")
        return invoice


def _issued(
    invoice: Invoice, year: int, sequence: int, merchant_id: UUID, pdf: bytes, now: datetime, issued_by: str
) -> IssuedInvoice:
    taxes = dict(invoice.taxes)
    return IssuedInvoice(
        id=new_id(),
        number=invoice.number,
        state_code=invoice.supplier.state_code,
        financial_year=year,
        sequence=sequence,
        merchant_id=merchant_id,
        month=invoice.first_day,
        place_of_supply=invoice.place.code,
        taxable_paise=invoice.taxable_paise,
        cgst_paise=taxes.get(TaxKind.CGST, 0),
        sgst_paise=taxes.get(TaxKind.SGST, 0) + taxes.get(TaxKind.UTGST, 0),
        igst_paise=taxes.get(TaxKind.IGST, 0),
        rounding_paise=invoice.rounding_paise,
        payable_paise=invoice.payable_paise,
        content_sha256=hashlib.sha256(pdf).digest(),
        issued_at=now,
        issued_by=issued_by,
    )


def _no_invoice(invoice_id: str) -> InvoiceNotFoundError:
    return InvoiceNotFoundError(f"there is no invoice {invoice_id} that you may see")


def _known(error: Exception) -> ServiceError:
    """Return an error of our tree for any other, which is logged."""
    if isinstance(error, ServiceError):
        return error
    if known := translate(error):
        return known
    log.error("a paper could not be rendered", exc_info=error)
    return ServiceError("internal error")
