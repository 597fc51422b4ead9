"""Holds freeze one line, over the api; and each sees its own statements, there and in the database."""

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.tenancy import Visibility, visible
from services.reconciliation.handlers.ledger import Ledger
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.settling import (
    PAID_PAISE,
    closed,
    first_line,
    line_of,
    other_line,
    paid_by_others,
    paid_out,
    payouts_in,
)
from tests.integration.services.reconciliation.test_api import refused
from tests.integration.services.reconciliation.test_corrected_settlements import (
    HAND_OVER,
    handed_over,
    hear,
    lines_of,
    told_of,
    worthless_at_first,
)
from tests.ledger import STORY
from tests.ledger_events import Told
from tests.recon import Paid
from tests.settlements import City

CANCELLED_LATE = (*STORY, "cancelled")


async def test_a_hold_freezes_one_line_until_it_is_released(api: LedgerApi, city: City) -> None:
    partner_id, merchant_id = new_id(), new_id()
    told = await city.hand_over(3, partner_id=partner_id, merchant_id=merchant_id, cash_paise=0)
    party = f"partner:{partner_id}"
    first = await closed(api, city)
    entry_id = await first_line(city, first, told[0])
    hold = pb.HoldLineRequest(**line_of(told[0], entry_id, reason="wrong parcel", is_dispute=True))
    assert (await api.ask(api.settlements.HoldLine, hold)).hold.state == "disputed"
    assert await refused(api, api.settlements.HoldLine, hold) == "HOLD_ILLEGAL_TRANSITION"
    # The statement was closed before and stays as it is; what is paid out lacks the line, and only that.
    batch = await paid_out(api, first)
    assert batch.amount_paise == 2 * PAID_PAISE
    other = pb.HoldLineRequest(**line_of(told[1], await other_line(city, first, party, entry_id), reason="late"))
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
    release = pb.ReleaseLineRequest(**line_of(told[0], entry_id, reason="it was right"))
    assert (await api.ask(api.settlements.ReleaseLine, release)).hold.state == "released"
    assert await refused(api, api.settlements.ReleaseLine, release) == "HOLD_ILLEGAL_TRANSITION"
    third = await closed(api, city)
    assert (await city.statements(third))[party].totals.payable_paise == PAID_PAISE
    history = await api.ask(api.settlements.GetHold, pb.GetHoldRequest(**line_of(told[0], entry_id)))
    assert [(one.action, one.state, one.reason, one.changed_by) for one in history.changes] == [
        ("dispute", "disputed", "wrong parcel", "test"), ("release", "released", "it was right", "test"),
    ]  # fmt: skip


async def test_a_hold_keeps_back_and_never_adds(api: LedgerApi, city: City) -> None:
    partner_id = new_id()
    told = (await city.hand_over(1, partner_id=partner_id, cash_paise=0))[0]
    await city.hand_over(1, partner_id=partner_id)
    first, party = await closed(api, city), f"partner:{partner_id}"
    statement = await city.statement(first, party)
    assert statement is not None
    # Cash that is the partner's to hand in is below zero: there is nothing in it that could be kept back.
    entry_id = next(str(line.entry_id) for line in statement.lines if line.cash_paise)
    hold = pb.HoldLineRequest(**line_of(told, entry_id, reason="wrong parcel"))
    assert (await api.ask(api.settlements.HoldLine, hold)).hold.amount_paise < 0
    await paid_out(api, first)
    assert party not in await payouts_in(api, first)
    totals = (await city.statements(await closed(api, city)))[party].totals
    assert totals.closing_paise == statement.totals.closing_paise < 0
    assert (totals.held_paise, totals.payable_paise) == (0, 0)


async def held_and_other(api: LedgerApi, city: City) -> tuple[Told, int, str]:
    """A partner with two deliveries in a closed cycle, the first of which is held."""
    held = Told(city.city_code, CANCELLED_LATE, cash_paise=0)
    await Ledger(city.books).handle([held.partner_event, *held.events[:-1]])
    await city.hand_over(cash_paise=0, partner_id=held.partner_id)
    cycle_no, party = await closed(api, city), f"partner:{held.partner_id}"
    found = await city.statement(cycle_no, party)
    assert found is not None
    entry_id = next(str(line.entry_id) for line in found.lines if line.delivery_id == held.delivery_id)
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**line_of(held, entry_id, reason="wrong parcel")))
    return held, cycle_no, party


async def left(api: LedgerApi, city: City, party: str) -> tuple[int, int, int]:
    """What is open, held and payable by the next statement; the payout is the same."""
    cycle_no = await closed(api, city)
    totals = (await city.statements(cycle_no))[party].totals
    assert (await paid_out(api, cycle_no)).amount_paise == totals.payable_paise
    return totals.closing_paise, totals.held_paise, totals.payable_paise


async def test_a_hold_of_what_is_undone_keeps_nothing_else_back(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    held, cycle_no, party = await held_and_other(api, city)
    await Ledger(city.books).handle(held.events[-1:])
    # The statement still has the line, and lacks what undoes it.
    assert (await paid_out(api, cycle_no)).amount_paise == PAID_PAISE
    await city.hand_over(cash_paise=0, partner_id=held.partner_id)
    # What was paid out is under way.
    assert await left(api, city, party) == (2 * PAID_PAISE, 0, PAID_PAISE)


async def test_a_hold_of_what_others_have_paid_keeps_nothing_else_back(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    held, _, party = await held_and_other(api, city)
    await paid_by_others(city, held, PAID_PAISE)
    assert await left(api, city, party) == (PAID_PAISE, 0, PAID_PAISE)


async def test_what_others_have_paid_of_a_held_line_since_is_taken_off_once(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    held, cycle_no, _ = await held_and_other(api, city)
    await paid_by_others(city, held, PAID_PAISE)
    assert (await paid_out(api, cycle_no)).amount_paise == PAID_PAISE


async def test_a_hold_keeps_back_what_is_left_of_its_line(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    held, _, party = await held_and_other(api, city)
    await paid_by_others(city, held, 4_000)
    rest = PAID_PAISE - 4_000
    assert await left(api, city, party) == (PAID_PAISE + rest, rest, PAID_PAISE)


async def test_a_hold_stays_where_somebody_else_was_paid_for_its_line(
    clean: asyncpg.Connection, api: LedgerApi, city: City
) -> None:
    held, _, party = await held_and_other(api, city)
    (third,) = await city.hand_over(cash_paise=0, partner_id=held.partner_id)
    wrong = Paid(str(held.delivery_id), new_id(), PAID_PAISE, datetime.now(UTC))
    await paid_by_others(city, third, PAID_PAISE, wrong)
    assert await left(api, city, party) == (2 * PAID_PAISE, PAID_PAISE, PAID_PAISE)


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
        cycles = (await api.ask(api.settlements.ListCycles, pb.ListCyclesRequest(page_size=1), principal)).cycles
        assert [(one.opened_by, one.last_error) for one in cycles] == [("", "")]
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


async def test_a_correction_of_what_had_nothing_of_its_party_is_held_itself(
    api: LedgerApi, city: City, owner: asyncpg.Connection
) -> None:
    told = await handed_over(city, await worthless_at_first(owner, city, cash_paise=0))
    party = f"partner:{told.partner_id}"
    await closed(api, city)
    await hear(city, told, 1)
    cycle_no = await closed(api, city)
    hold = pb.HoldLineRequest(**line_of(told, await first_line(city, cycle_no, told), reason="looked into"))
    await api.ask(api.settlements.HoldLine, hold)
    totals = (await city.statements(await closed(api, city)))[party].totals
    assert totals.held_paise == totals.closing_paise > 0
    # Late again, and worth nothing: what the partner earned besides is not held for it.
    await handed_over(city, told_of(city, cash_paise=0, partner_id=told.partner_id))
    late_again = replace(told.changes[HAND_OVER + 1], sequence=HAND_OVER + 3)
    await Ledger(city.books).handle([told.event_of(late_again)])
    second_no = await closed(api, city)
    totals = (await city.statements(second_no))[party].totals
    assert (totals.held_paise, totals.payable_paise) == (0, totals.closing_paise)
    lines = await lines_of(city, second_no, party)
    again = next(str(one.entry_id) for one in lines if one.kind == "correction")
    alone = pb.HoldLineRequest(**line_of(told, again, reason="this one"))
    assert await refused(api, api.settlements.HoldLine, alone) == "HOLD_ILLEGAL_TRANSITION"
