"""From statements to the bank and back, over the api: holds, payouts made once, their file, and the bank's word."""

from collections import Counter
from dataclasses import replace

import asyncpg
import grpc
import pytest
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from services.reconciliation.errors import PayoutsIncompleteError
from services.reconciliation.settlements.payouts import paying
from services.reconciliation.settlements.payouts.batch import FileFormat
from tests.integration.services.reconciliation.conftest import OWN_CYCLES, LedgerApi
from tests.integration.services.reconciliation.settling import (
    PAID_PAISE,
    bank_says,
    closed,
    file_of,
    first_line,
    line_of,
    outcomes,
    paid_out,
    payouts_in,
)
from tests.integration.services.reconciliation.test_api import refused
from tests.invariants import broken_invariants
from tests.settlements import City, balances, kinds


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


async def test_a_file_that_lacks_payouts_has_no_end(api: LedgerApi, city: City) -> None:
    await city.hand_over(3, cash_paise=0)
    cycle_no = await closed(api, city)
    await paid_out(api, cycle_no)
    async with city.worker.acquire() as connection:
        batch = await paying.batch_of(connection, cycle_no)
    by_ones = [piece async for piece in paying.file_of(batch, FileFormat.CSV, 1, city.worker.acquire)]
    assert len(by_ones) == 4
    assert b"".join(by_ones) == await file_of(api, cycle_no)
    # As of a batch whose last payout whoever is asked has not replayed yet.
    unknown = paying.file_of(replace(batch, payouts_count=4), FileFormat.CSV, 2, city.worker.acquire)
    with pytest.raises(PayoutsIncompleteError):
        _ = [piece async for piece in unknown]


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
        request = pb.ExplainSettlementLineRequest(**line_of(told, await first_line(city, cycle_no, told)))
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
