"""From statements to the bank and back, over the api: holds, payouts made once, their file, and the bank's word."""

import csv
import io
from collections import Counter
from datetime import UTC, datetime

import asyncpg
import grpc
import pytest
from lastmile.reconciliation.v1 import settlement_pb2 as pb
from lastmile.reconciliation.v1 import statement_pb2

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.log_position import position
from libs.postgres.tenancy import Visibility, visible
from services.reconciliation.statements.intake import ReceivedFile, take_in
from services.reconciliation.statements.limits import IntakeLimits
from tests.integration.services.reconciliation.conftest import OWN_CYCLES, LedgerApi
from tests.integration.services.reconciliation.test_api import refused
from tests.invariants import broken_invariants
from tests.ledger_events import Told
from tests.settlements import City, balances, kinds

PAID_PAISE = 10_671


async def seen(api: LedgerApi, city: City) -> None:
    """Have the api see what was committed by now."""
    async with city.books.acquire() as connection:
        api.has_seen(await position(connection))


async def closed(api: LedgerApi, city: City) -> int:
    cycle_no = await city.close()
    await seen(api, city)
    return cycle_no


async def paid_out(api: LedgerApi, cycle_no: int) -> pb.PayoutBatch:
    return (await api.ask(api.settlements.CreatePayouts, pb.CreatePayoutsRequest(cycle_no=cycle_no))).batch


async def file_of(api: LedgerApi, cycle_no: int, form: int = pb.PAYOUT_FILE_FORMAT_CSV) -> bytes:
    request = pb.DownloadPayoutFileRequest(cycle_no=cycle_no, format=form)  # type: ignore[arg-type]  # one of the enum's
    call = api.settlements.DownloadPayoutFile(request, metadata=api.metadata(), timeout=20)
    return b"".join([piece.content async for piece in call])


async def payouts_in(api: LedgerApi, cycle_no: int) -> dict[str, tuple[str, int]]:
    """The reference and paise of each payout, by its party, as the file says."""
    rows = csv.DictReader(io.StringIO((await file_of(api, cycle_no)).decode()))
    return {
        row["beneficiary"]: (row["reference"], int(row["amount"].replace(".", "")))
        for row in rows
        if row["record"] == "PAYOUT"
    }


async def bank_says(
    api: LedgerApi, city: City, *rows: tuple[str, str, int], confirms: bool = True
) -> pb.ConfirmPayoutsResponse:
    """Take in a statement of the bank, of references with a word each, and let it settle payouts."""
    source = f"bank-{new_id()}"
    mapping = statement_pb2.StatementMapping(
        format=statement_pb2.STATEMENT_FORMAT_CSV,
        columns={"reference": "ref", "amount": "amount", "paid_at": "at", "leg": "status"},
        legs={"PAID": "payout", "RETURNED": "cash"},
        payee="network:bank",
        amounts_in_paise=True,
        confirms_payouts=confirms,
    )
    await api.ask(api.statements.SaveMapping, statement_pb2.SaveMappingRequest(source_code=source, mapping=mapping))
    at = datetime.now(UTC).isoformat()
    content = "ref,amount,at,status\n" + "".join(f"{ref},{paise},{at},{word}\n" for ref, word, paise in rows)
    async with city.worker.acquire() as connection, connection.transaction():
        with ReceivedFile(IntakeLimits()) as received:
            received.add(content.encode())
            taken = await take_in(connection, received, source, "day.csv", "test", datetime.now(UTC), IntakeLimits())
    request = pb.ConfirmPayoutsRequest(statement_id=str(taken.statement.id))
    answer: pb.ConfirmPayoutsResponse = await api.ask(api.settlements.ConfirmPayouts, request)
    again = await api.ask(api.settlements.ConfirmPayouts, request)
    assert {tally.outcome for tally in again.tallies} <= {
        "same",
        "unknown_reference",
        "amount_differs",
        "paid_after_return",
    }
    await seen(api, city)
    return answer


def outcomes(answer: pb.ConfirmPayoutsResponse) -> dict[str, int]:
    return {tally.outcome: tally.lines_count for tally in answer.tallies}


def line_of(told: Told, statement_line: str, **more: object) -> dict[str, object]:
    return {"party_kind": "partner", "party_owner": str(told.partner_id), "entry_id": statement_line, **more}


async def first_line(city: City, cycle_no: int, told: Told) -> str:
    found = await city.statement(cycle_no, f"partner:{told.partner_id}")
    assert found is not None
    return str(found.lines[0].entry_id)


async def test_a_payout_is_made_once_and_its_file_is_always_the_same_bytes(api: LedgerApi, city: City) -> None:
    told = await city.hand_over(3, cash_paise=0)
    cycle_no = await closed(api, city)
    request = pb.CreatePayoutsRequest(cycle_no=cycle_no)
    first, again = [await api.ask(api.settlements.CreatePayouts, request) for _ in range(2)]
    assert (first.was_there, again.was_there) == (False, True)
    assert first.batch == again.batch
    # The merchants owe their fees, and get nothing.
    assert (first.batch.payouts_count, first.batch.amount_paise) == (3, 3 * PAID_PAISE)
    found = await payouts_in(api, cycle_no)
    assert {party: paise for party, (_, paise) in found.items()} == {
        f"partner:{one.partner_id}": PAID_PAISE for one in told
    }
    for form in (pb.PAYOUT_FILE_FORMAT_NACH, pb.PAYOUT_FILE_FORMAT_CSV):
        assert await file_of(api, cycle_no, form) == await file_of(api, cycle_no, form)
    lines = (await file_of(api, cycle_no, pb.PAYOUT_FILE_FORMAT_NACH)).decode().split("\r\n")
    assert [line[:2] for line in lines] == ["12", "23", "23", "23", "99", ""]
    assert {len(line) for line in lines[:-1]} == {120}
    assert f"{3:09}{3 * PAID_PAISE:018}" in lines[0]
    assert f"{3:09}{3 * PAID_PAISE:018}" in lines[-2]
    assert await refused(api, api.settlements.GetPayouts, pb.GetPayoutsRequest(cycle_no=10**6)) == "PAYOUTS_NOT_FOUND"


async def test_the_bank_s_word_settles_each_payout_once_and_a_return_is_payable_again(
    api: LedgerApi, city: City, owner: asyncpg.Connection
) -> None:
    paid, back, never, late = await city.hand_over(4, cash_paise=0)
    parties = [f"partner:{one.partner_id}" for one in (paid, back, never, late)]
    first = await closed(api, city)
    await paid_out(api, first)
    references = {party: reference for party, (reference, _) in (await payouts_in(api, first)).items()}
    answer = await bank_says(
        api, city,
        (references[parties[0]], "PAID", PAID_PAISE), (references[parties[0]], "PAID", PAID_PAISE),
        (references[parties[1]], "PAID", PAID_PAISE), (references[parties[1]], "RETURNED", PAID_PAISE),
        (references[parties[2]], "RETURNED", PAID_PAISE), (references[parties[3]], "PAID", PAID_PAISE - 1),
        ("LM999999", "PAID", 5),
    )  # fmt: skip
    assert outcomes(answer) == {"paid": 2, "same": 1, "returned": 2, "amount_differs": 1, "unknown_reference": 1}
    assert [problem.outcome for problem in answer.problems] == ["amount_differs", "unknown_reference"]
    states = await api.ask(api.settlements.GetPayouts, pb.GetPayoutsRequest(cycle_no=first))
    assert {tally.state: tally.payouts_count for tally in states.tallies} == {"paid": 1, "returned": 2, "sent": 1}
    # The bank's word again, in another file, changes nothing.
    again = await bank_says(api, city, (references[parties[0]], "PAID", PAID_PAISE))
    assert outcomes(again) == {"same": 1}
    assert (await balances(owner, parties)) == dict(zip(parties, [0, PAID_PAISE, PAID_PAISE, PAID_PAISE], strict=True))

    second = await closed(api, city)
    statements = await city.statements(second)
    assert kinds(await city.statement(second, parties[0])) == {"payout": 1}
    assert kinds(await city.statement(second, parties[1])) == {"payout": 1, "payout_return": 1}
    payable = [statements[party].totals.payable_paise for party in parties]
    # The last one is still under way.
    assert payable == [0, PAID_PAISE, PAID_PAISE, 0]
    assert statements[parties[3]].totals.unsettled_paise == PAID_PAISE
    batch = await paid_out(api, second)
    assert (batch.payouts_count, batch.amount_paise) == (2, 2 * PAID_PAISE)
    assert (
        await refused(api, api.settlements.CreatePayouts, pb.CreatePayoutsRequest(cycle_no=10**6)) == "CYCLE_NOT_FOUND"
    )


async def test_a_cycle_whose_rest_a_later_one_has_is_not_paid_out(api: LedgerApi, city: City) -> None:
    await city.hand_over(1, cash_paise=0)
    first = await closed(api, city)
    await closed(api, city)
    assert (
        await refused(api, api.settlements.CreatePayouts, pb.CreatePayoutsRequest(cycle_no=first)) == "CYCLE_SUPERSEDED"
    )


async def test_a_hold_freezes_one_line_until_it_is_released(api: LedgerApi, city: City) -> None:
    partner_id, merchant_id = new_id(), new_id()
    told = await city.hand_over(3, partner_id=partner_id, merchant_id=merchant_id, cash_paise=0)
    party = f"partner:{partner_id}"
    first = await closed(api, city)
    entry_id = await first_line(city, first, told[0])
    hold = pb.HoldLineRequest(**line_of(told[0], entry_id, reason="wrong parcel", is_dispute=True))  # type: ignore[arg-type]  # names are the fields'
    assert (await api.ask(api.settlements.HoldLine, hold)).hold.state == "disputed"
    assert await refused(api, api.settlements.HoldLine, hold) == "HOLD_ILLEGAL_TRANSITION"
    # The statement was closed before and stays as it is; what is paid out lacks the line, and only that.
    batch = await paid_out(api, first)
    assert batch.amount_paise == 2 * PAID_PAISE
    other = pb.HoldLineRequest(**line_of(told[1], await other_line(city, first, party, entry_id), reason="late"))  # type: ignore[arg-type]  # names are the fields'
    assert await refused(api, api.settlements.HoldLine, other) == "LINE_PAID_OUT"

    second = await closed(api, city)
    found = (await city.statements(second))[party].totals
    assert (found.closing_paise, found.held_paise, found.unsettled_paise, found.payable_paise) == (
        3 * PAID_PAISE, PAID_PAISE, 2 * PAID_PAISE, 0,
    )  # fmt: skip
    listed = await api.ask(
        api.settlements.ListHolds, pb.ListHoldsRequest(party_kind="partner", party_owner=str(partner_id))
    )
    assert [one.entry_id for one in listed.holds] == [entry_id]
    release = pb.ReleaseLineRequest(**line_of(told[0], entry_id, reason="it was right"))  # type: ignore[arg-type]  # names are the fields'
    assert (await api.ask(api.settlements.ReleaseLine, release)).hold.state == "released"
    assert await refused(api, api.settlements.ReleaseLine, release) == "HOLD_ILLEGAL_TRANSITION"
    third = await closed(api, city)
    assert (await city.statements(third))[party].totals.payable_paise == PAID_PAISE
    history = await api.ask(api.settlements.GetHold, pb.GetHoldRequest(**line_of(told[0], entry_id)))  # type: ignore[arg-type]  # names are the fields'
    assert [(one.action, one.state, one.reason, one.changed_by) for one in history.changes] == [
        ("dispute", "disputed", "wrong parcel", "test"), ("release", "released", "it was right", "test"),
    ]  # fmt: skip


async def other_line(city: City, cycle_no: int, party: str, entry_id: str) -> str:
    found = await city.statement(cycle_no, party)
    assert found is not None
    return next(str(line.entry_id) for line in found.lines if str(line.entry_id) != entry_id)


async def test_each_sees_its_own_statements_and_ops_see_all(api: LedgerApi, city: City) -> None:
    mine, other = await city.hand_over(2)
    cycle_no = await closed(api, city)
    method, lines = api.settlements.GetSettlement, api.settlements.ListSettlementLines
    merchant = Principal("m", Role.MERCHANT, merchant_id=str(mine.merchant_id))
    partner = Principal("p", Role.PARTNER, partner_id=str(mine.partner_id))
    for principal, kind, own, foreign in (
        (merchant, "merchant", mine.merchant_id, other.merchant_id),
        (partner, "partner", mine.partner_id, other.partner_id),
    ):
        request = pb.GetSettlementRequest(cycle_no=cycle_no, party_kind=kind, party_owner=str(own))
        assert (await api.ask(method, request, principal)).settlement.lines_count == 1
        listed = pb.ListSettlementLinesRequest(cycle_no=cycle_no, party_kind=kind, party_owner=str(own))
        assert len((await api.ask(lines, listed, principal)).lines) == 1
        request.party_owner = listed.party_owner = str(foreign)
        assert await refused(api, method, request, principal) == "SETTLEMENT_NOT_FOUND"
        assert await refused(api, lines, listed, principal) == "SETTLEMENT_NOT_FOUND"
        all_of = await api.ask(api.settlements.ListSettlements, pb.ListSettlementsRequest(cycle_no=cycle_no), principal)
        assert [one.party for one in all_of.settlements] == [f"{kind}:{own}"]
    page = pb.ListSettlementsRequest(cycle_no=cycle_no, page_size=3)
    first = await api.ask(api.settlements.ListSettlements, page)
    page.page_token = first.next_page_token
    assert len(first.settlements) + len((await api.ask(api.settlements.ListSettlements, page)).settlements) == 4


async def test_the_database_shows_a_merchant_nobody_else_s_statements(
    embedded_servers: EmbeddedServers, city: City
) -> None:
    mine, _ = await city.hand_over(2)
    await city.close()
    connection = await asyncpg.connect(embedded_servers.dsn("reconciliation_fallback"))
    try:
        async with visible(connection, Visibility.of("reconciliation_tenant_reader", [mine.merchant_id])):
            for table in ("settlement_statements", "settlement_lines"):
                rows = await connection.fetch(f"SELECT DISTINCT party FROM reconciliation.{table}")
                assert [row["party"] for row in rows] == [f"merchant:{mine.merchant_id}"]
    finally:
        await connection.close()


async def test_every_line_is_explained_and_done_again_to_the_same_integers(api: LedgerApi, city: City) -> None:
    (told,) = await city.hand_over(1, cash_paise=0)
    party = f"partner:{told.partner_id}"
    first = await closed(api, city)
    await paid_out(api, first)
    (reference, paise) = (await payouts_in(api, first))[party]
    await bank_says(api, city, (reference, "PAID", paise))
    second = await closed(api, city)
    explained = []
    for cycle_no in (first, second):
        request = pb.ExplainSettlementLineRequest(**line_of(told, await first_line(city, cycle_no, told)))  # type: ignore[arg-type]  # names are the fields'
        explained.append(await api.ask(api.settlements.ExplainSettlementLine, request))
    delivery, payout = explained
    assert delivery.agrees
    assert delivery.explanation.agrees
    assert Counter(delivery.event_ids)[str(told.events[5].id)] == 1
    assert payout.agrees
    assert (payout.payout.reference, payout.payout.amount_paise, payout.cycle_no) == (reference, paise, second)
    assert payout.line.amount_paise == -paise


async def test_what_confirms_nothing_settles_nothing(api: LedgerApi, city: City) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await bank_says(api, city, ("x", "PAID", 5), confirms=False)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    unknown = pb.ConfirmPayoutsRequest(statement_id=str(new_id()))
    assert await refused(api, api.settlements.ConfirmPayouts, unknown) == "STATEMENT_NOT_FOUND"


async def test_a_cycle_is_ended_on_demand_where_there_are_any(api: LedgerApi, city: City) -> None:
    unknown = pb.CloseCycleRequest(city_code="NOWHERE")
    assert await refused(api, api.settlements.CloseCycle, unknown) == "CALENDAR_NOT_FOUND"
    request = pb.CloseCycleRequest(city_code=OWN_CYCLES)
    first, again = [await api.ask(api.settlements.CloseCycle, request) for _ in range(2)]
    assert (first.was_open, again.was_open) == (False, True)
    assert first.cycle.cycle_no == again.cycle.cycle_no
    payouts = pb.CreatePayoutsRequest(cycle_no=first.cycle.cycle_no)
    assert await refused(api, api.settlements.CreatePayouts, payouts) == "CYCLE_NOT_CLOSED"
    # Whoever works next closes it too.
    await closed(api, city)
    found = await api.ask(api.settlements.GetCycle, pb.GetCycleRequest(cycle_no=first.cycle.cycle_no))
    assert found.cycle.state == "closed"
    listed = await api.ask(api.settlements.ListCycles, pb.ListCyclesRequest(page_size=1))
    assert listed.next_page_token


async def test_what_all_these_tests_have_settled_breaks_no_invariant(embedded_servers: EmbeddedServers) -> None:
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}
