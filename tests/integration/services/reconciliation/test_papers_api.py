"""Papers over gRPC: labels and statements in one stream, in order, each told of by itself when something is wrong."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from lastmile.reconciliation.v1 import paper_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.log_position import position
from services.reconciliation.papers.label import LabelSheet
from services.reconciliation.papers.rendering import pdf
from services.reconciliation.papers.settled import printed
from tests.integration.services.reconciliation.conftest import OPS, LedgerApi, serving
from tests.integration.services.reconciliation.test_api import reason_of
from tests.made_up_papers import HARD_LABEL, LABEL, made_up_sheet
from tests.papers import COMPANY, LIMITS, Sent, rendered, sheet_to
from tests.settlements import City


@pytest.fixture(scope="module")
async def api(embedded_servers: EmbeddedServers) -> AsyncIterator[LedgerApi]:
    async with serving(embedded_servers, reconciliation_company=COMPANY, reconciliation_papers=LIMITS) as made:
        yield made


async def render(api: LedgerApi, *papers: pb.PaperRequest, principal: Principal = OPS) -> list[Sent]:
    return await rendered(api.papers, api.metadata(principal), *papers)


def reasons(sent: list[Sent]) -> list[str]:
    return [paper.error.reason if paper.error else "" for paper in sent]


async def test_papers_come_in_order_and_in_pieces_as_they_would_be_made_here(api: LedgerApi) -> None:
    sheets = [made_up_sheet(seed, labels=3) for seed in range(7)]
    sent = await render(api, *(sheet_to(*sheet.labels) for sheet in sheets))
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
    sent = await render(api, sheet_to(LABEL), bad, no_day, unknown, pb.PaperRequest(), sheet_to(HARD_LABEL))
    assert reasons(sent) == [
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
    assert (await render(api, sheet_to(LABEL)))[0].content.startswith(b"%PDF")


async def test_a_partner_gets_its_own_statement_and_nothing_else(api: LedgerApi, city: City) -> None:
    mine, theirs = await city.hand_over(2)
    cycle_no = await city.close()
    async with city.worker.acquire() as connection:
        api.has_seen(await position(connection))
    party = f"partner:{mine.partner_id}"
    statement = await city.statement(cycle_no, party)
    assert statement is not None

    def asked(owner: object, cycle: int = cycle_no) -> pb.PaperRequest:
        named = pb.SettlementPaper(cycle_no=cycle, party_kind="partner", party_owner=str(owner))
        return pb.PaperRequest(settlement=named)

    me = Principal("rider", Role.PARTNER, partner_id=str(mine.partner_id))
    papers = [asked(mine.partner_id), asked(theirs.partner_id), asked(mine.partner_id, 999_999), sheet_to(LABEL)]
    sent = await render(api, *papers, pb.PaperRequest(invoice_id=str(new_id())), principal=me)
    unknown, refused = "SETTLEMENT_NOT_FOUND", "ROLE_NOT_ALLOWED"
    assert reasons(sent) == ["", unknown, unknown, refused, refused]
    shown = printed(statement, COMPANY.legal_name, LIMITS.statement_lines_max)
    assert shown.payable_paise == statement.totals.closing_paise != 0
    assert len(shown.details) == statement.totals.lines_count
    assert sent[0].content == pdf(shown)
    assert reasons(await render(api, asked(theirs.partner_id))) == [""]


async def test_nobody_renders_without_a_credential(api: LedgerApi) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await rendered(api.papers, [], sheet_to(LABEL))
    assert reason_of(error.value) == "UNAUTHENTICATED"
    assert (await render(api, sheet_to(LABEL)))[0].content == pdf(LabelSheet((LABEL,)))
