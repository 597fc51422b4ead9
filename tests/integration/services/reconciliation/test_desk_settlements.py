"""The desk and settlements: what is given up is not paid out too, and what is booked is in the payee's own cycles."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from lastmile.reconciliation.v1 import exception_pb2
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from libs.ids import new_id
from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.runs.limits import RunLimits
from tests.desk_api import BILAL, KIND, DeskApi, balance, follow, refused
from tests.integration.services.reconciliation.conftest import OWN_CYCLES, LedgerApi, add_card
from tests.integration.services.reconciliation.settling import PAID_PAISE, closed, first_line, line_of, paid_out
from tests.integration.services.reconciliation.test_settled_legs import Runs
from tests.ledger import STORY
from tests.ledger_events import Told
from tests.recon import Day, Paid
from tests.recon_runs import booked, run_once, taken_in
from tests.settlements import City

MATCH, WRITE_OFF = KIND.RESOLUTION_KIND_MATCH, KIND.RESOLUTION_KIND_WRITE_OFF
RECOVER, ADJUST = KIND.RESOLUTION_KIND_RECOVER, KIND.RESOLUTION_KIND_ADJUST


@pytest.fixture
async def own(clean: asyncpg.Connection, books: asyncpg.Pool, worker: asyncpg.Pool) -> City:
    """A city of which the api, too, knows that it has cycles of its own."""
    await add_card(clean, OWN_CYCLES)
    return City(books, worker, OWN_CYCLES)


async def found(runs: Runs, desk: DeskApi, owner: asyncpg.Connection) -> list[exception_pb2.Case]:
    """The cases after a further run."""
    await runs.again()
    await follow(desk.api, owner)
    return await desk.cases()


async def test_what_a_settlement_pays_is_not_given_up_as_the_rest_of_a_match(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    desk, runs = DeskApi(api), Runs(pool, clean)
    partner_id = new_id()
    await city.hand_over(2, cash_paise=0, partner_id=partner_id)
    await paid_out(api, await closed(api, city))
    missing = await found(runs, desk, clean)
    assert [case.rest_paise for case in missing] == [-PAID_PAISE, -PAID_PAISE]
    assert await refused(desk.resolve(missing, WRITE_OFF)) == "SETTLED_MEANWHILE"
    # Nothing was paid that these could be what is owed for.
    assert await refused(desk.resolve(missing, MATCH, write_off_rest=True)) == "CASES_REFUSED"

    line = Paid(str(new_id()), partner_id, 2 * PAID_PAISE, datetime.now(UTC))
    await taken_in(pool, Day(paid=[line, Paid(str(new_id()), partner_id, 100, datetime.now(UTC))]).file())
    cases = await found(runs, desk, clean)
    paid, little = sorted((case for case in cases if case.rest_paise > 0), key=lambda case: -case.rest_paise)
    assert await refused(desk.resolve([*missing, little], MATCH, write_off_rest=True)) == "SETTLED_MEANWHILE"
    assert await balance(clean, "platform:write_offs") == 0
    # Whoever is paid twice owes it back: nothing is given up by that.
    await desk.resolve([*missing, paid], MATCH)
    assert await balance(clean, "platform:write_offs") == 0
    assert await balance(clean, f"partner:{partner_id}") == 0


async def test_what_the_desk_takes_back_is_set_off_in_the_cycles_of_the_payee(
    clean: asyncpg.Connection, api: LedgerApi, own: City, pool: asyncpg.Pool
) -> None:
    desk, runs = DeskApi(api), Runs(pool, clean)
    (told,) = await own.hand_over(cash_paise=0)
    cycle_no, party = await closed(api, own), f"partner:{told.partner_id}"
    lines = [Paid(str(new_id()), payee, 150, datetime.now(UTC)) for payee in (told.partner_id, new_id())]
    await taken_in(pool, Day(paid=lines).file())
    unknown = [case for case in await found(runs, desk, clean) if case.rest_paise == 150]
    # One entry is in the cycles of one calendar, and the other payee is of no city that has its own.
    assert await refused(desk.resolve(unknown, RECOVER)) == "CASES_REFUSED"
    assert await balance(clean, "platform:bank") == 0
    await desk.resolve([case for case in unknown if case.discrepancy.payee == party], RECOVER)
    await desk.resolve([case for case in unknown if case.discrepancy.payee != party], RECOVER)
    assert (await paid_out(api, cycle_no)).amount_paise == PAID_PAISE - 150
    totals = (await own.statements(await closed(api, own)))[party].totals
    assert (totals.paid_paise, totals.closing_paise) == (-150, PAID_PAISE - 150)
    calendars = await clean.fetch("SELECT calendar FROM reconciliation.entries WHERE kind = 'resolution' ORDER BY id")
    assert [row["calendar"] for row in calendars] == [OWN_CYCLES, ""]


async def test_a_hold_ends_with_what_the_desk_has_given_up(
    clean: asyncpg.Connection, api: LedgerApi, own: City, pool: asyncpg.Pool
) -> None:
    desk, runs = DeskApi(api), Runs(pool, clean)
    (held,) = await own.hand_over(cash_paise=0)
    await own.hand_over(cash_paise=0, partner_id=held.partner_id)
    missing = await found(runs, desk, clean)
    cycle_no, party = await closed(api, own), f"partner:{held.partner_id}"
    await hold(api, own, cycle_no, held)
    of_held = [case for case in missing if case.discrepancy.delivery_id == str(held.delivery_id)]
    await desk.resolve(of_held, WRITE_OFF)
    assert (await paid_out(api, cycle_no)).amount_paise == PAID_PAISE
    totals = (await own.statements(await closed(api, own)))[party].totals
    assert (totals.closing_paise, totals.held_paise, totals.unsettled_paise) == (PAID_PAISE, 0, PAID_PAISE)


async def test_what_was_given_up_of_a_delivery_that_is_undone_since_is_given_back(
    clean: asyncpg.Connection, api: LedgerApi, own: City, pool: asyncpg.Pool
) -> None:
    desk, runs, told = DeskApi(api), Runs(pool, clean), Told(own.city_code, (*STORY, "cancelled"))
    assert told.partner_event is not None
    await Ledger(own.books).handle([told.partner_event, *told.events[:-1]])
    accounts = (f"partner:{told.partner_id}", f"cash:{told.partner_id}", "platform:write_offs")
    missing = await found(runs, desk, clean)
    assert {case.discrepancy.leg for case in missing} == {"payout", "cash"}
    proposed = await desk.resolve(missing, WRITE_OFF)
    await desk.approve(proposed.resolution.id, BILAL)
    assert [await balance(clean, account) for account in accounts[:2]] == [0, 0]
    await Ledger(own.books).handle(told.events[-1:])
    late = await found(runs, desk, clean)
    assert [getattr(case.discrepancy, "class") for case in late] == ["late_adjustment"] * 2
    assert [case.suggestion.resolution for case in late] == [ADJUST] * 2
    proposed = await desk.resolve(late, ADJUST)
    await desk.approve(proposed.resolution.id, BILAL)
    assert [await balance(clean, account) for account in accounts] == [0, 0, 0]


async def undone_later(own: City) -> Told:
    """A delivery that is handed over, and called off by its last event, which nobody has heard yet."""
    told = Told(own.city_code, (*STORY, "cancelled"), cash_paise=0)
    assert told.partner_event is not None
    await Ledger(own.books).handle([told.partner_event, *told.events[:-1]])
    return told


async def test_what_a_match_gave_up_of_a_leg_that_is_undone_since_is_given_back(
    clean: asyncpg.Connection, api: LedgerApi, own: City, pool: asyncpg.Pool
) -> None:
    desk, runs, told = DeskApi(api), Runs(pool, clean), await undone_later(own)
    await taken_in(pool, Day(paid=[Paid(str(new_id()), told.partner_id, 5_000, datetime.now(UTC))]).file())
    proposed = await desk.resolve(await found(runs, desk, clean), MATCH, write_off_rest=True)
    assert await balance(clean, f"partner:{told.partner_id}") == 0
    assert proposed.resolution.amount_paise == PAID_PAISE - 5_000
    await Ledger(own.books).handle(told.events[-1:])
    (late,) = await found(runs, desk, clean)
    await desk.resolve([late], ADJUST)
    # What it has got, it owes.
    assert await balance(clean, f"partner:{told.partner_id}") == 5_000
    assert await balance(clean, "platform:write_offs") == 0


async def test_what_was_given_up_of_a_leg_in_parts_is_given_back_once(
    clean: asyncpg.Connection, api: LedgerApi, own: City, pool: asyncpg.Pool
) -> None:
    desk, runs, told, now = DeskApi(api), Runs(pool, clean), await undone_later(own), datetime.now(UTC)
    parts = [Paid(str(told.delivery_id), told.partner_id, 3_000, now + timedelta(seconds=late)) for late in (0, 1)]
    await taken_in(pool, Day(paid=parts).file())
    short = await found(runs, desk, clean)
    assert sorted(case.rest_paise for case in short) == [3_000 - PAID_PAISE, 3_000]
    await desk.resolve(short, WRITE_OFF)
    assert await balance(clean, f"partner:{told.partner_id}") == 0
    await Ledger(own.books).handle(told.events[-1:])
    await desk.resolve(await found(runs, desk, clean), ADJUST)
    assert await balance(clean, f"partner:{told.partner_id}") == 6_000
    assert await balance(clean, "platform:write_offs") == 0


@pytest.mark.parametrize(("paise", "kind"), [(5_000, "underpaid"), (PAID_PAISE + 500, "overpaid")])
async def test_what_was_wrong_with_a_leg_that_is_undone_is_in_the_case_of_the_whole(
    paise: int, kind: str, clean: asyncpg.Connection, api: LedgerApi, own: City, pool: asyncpg.Pool
) -> None:
    desk, runs, told = DeskApi(api), Runs(pool, clean), await undone_later(own)
    await taken_in(pool, Day(paid=[Paid(str(told.delivery_id), told.partner_id, paise, datetime.now(UTC))]).file())
    cases = await found(runs, desk, clean)
    assert [getattr(case.discrepancy, "class") for case in cases] == [kind]
    await Ledger(own.books).handle(told.events[-1:])
    assert await refused(desk.resolve(cases, WRITE_OFF)) == "SETTLED_MEANWHILE"
    late = await found(runs, desk, clean)
    assert [(getattr(case.discrepancy, "class"), case.rest_paise) for case in late] == [("late_adjustment", paise)]
    await desk.resolve(late, ADJUST)
    assert await balance(clean, f"partner:{told.partner_id}") == paise


@pytest.mark.parametrize("is_held", [False, True])
async def test_what_was_undone_since_its_statement_was_closed_is_not_paid_out(
    is_held: bool, clean: asyncpg.Connection, api: LedgerApi, own: City
) -> None:
    told = await undone_later(own)
    await own.hand_over(cash_paise=0, partner_id=told.partner_id)
    cycle_no, party = await closed(api, own), f"partner:{told.partner_id}"
    if is_held:
        await hold(api, own, cycle_no, told)
    await Ledger(own.books).handle(told.events[-1:])
    assert (await paid_out(api, cycle_no)).amount_paise == PAID_PAISE
    totals = (await own.statements(await closed(api, own)))[party].totals
    assert (totals.closing_paise, totals.held_paise, totals.unsettled_paise) == (PAID_PAISE, 0, PAID_PAISE)


async def hold(api: LedgerApi, city: City, cycle_no: int, told: Told) -> None:
    """Hold the line of a delivery."""
    line = line_of(told, await first_line(city, cycle_no, told), reason="wrong parcel")
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**line))


async def judged(city: City, desk: DeskApi, owner: asyncpg.Connection, *paid: Paid) -> list[exception_pb2.Case]:
    """The cases after a run over what was paid, which is booked in the city's own cycles."""
    await taken_in(city.worker, Day(paid=[*paid]).file())
    await run_once(city.worker, datetime.now(UTC) + timedelta(minutes=1), RunLimits(payout_due_min=0, settle_s=0))
    await booked(city.worker, [city.city_code])
    await follow(desk.api, owner)
    return await desk.cases()


async def test_what_is_held_in_part_and_undone_is_taken_off_once(
    clean: asyncpg.Connection, api: LedgerApi, own: City
) -> None:
    told = await undone_later(own)
    await own.hand_over(cash_paise=0, partner_id=told.partner_id)
    cycle_no, party = await closed(api, own), f"partner:{told.partner_id}"
    await hold(api, own, cycle_no, told)
    await judged(own, DeskApi(api), clean, Paid(str(told.delivery_id), told.partner_id, 5_000, datetime.now(UTC)))
    await Ledger(own.books).handle(told.events[-1:])
    assert (await paid_out(api, cycle_no)).amount_paise == PAID_PAISE - 5_000
    totals = (await own.statements(await closed(api, own)))[party].totals
    assert (totals.closing_paise, totals.held_paise, totals.unsettled_paise) == (
        PAID_PAISE - 5_000,
        0,
        PAID_PAISE - 5_000,
    )


async def test_a_hold_stays_where_the_desk_has_settled_what_somebody_else_was_paid(
    clean: asyncpg.Connection, api: LedgerApi, own: City
) -> None:
    desk = DeskApi(api)
    held, third = await own.hand_over(2, cash_paise=0)
    cycle_no = await closed(api, own)
    (other,) = await own.hand_over(cash_paise=0, partner_id=held.partner_id)
    now = datetime.now(UTC)
    wrong = Paid(str(held.delivery_id), third.partner_id, PAID_PAISE, now)
    short = Paid(str(other.delivery_id), held.partner_id, PAID_PAISE - 500, now)
    cases = await judged(own, desk, clean, wrong, short)
    await hold(api, own, cycle_no, held)
    # One command, one entry: it is on the account of whoever was paid too little of something else.
    both = [case for case in cases if case.rest_paise in {PAID_PAISE, -500}]
    assert len(both) == 2
    await desk.resolve(both, WRITE_OFF)
    totals = (await own.statements(await closed(api, own)))[f"partner:{held.partner_id}"].totals
    assert (totals.closing_paise, totals.held_paise, totals.payable_paise) == (PAID_PAISE, PAID_PAISE, 0)


async def test_a_hold_ends_with_what_the_desk_has_matched_without_a_booking(
    clean: asyncpg.Connection, api: LedgerApi, own: City
) -> None:
    desk = DeskApi(api)
    (held,) = await own.hand_over(cash_paise=0)
    cycle_no = await closed(api, own)
    (other,) = await own.hand_over(cash_paise=0, partner_id=held.partner_id)
    twice = Paid(str(other.delivery_id), held.partner_id, PAID_PAISE, datetime.now(UTC))
    cases = await judged(own, desk, clean, twice, twice)
    await hold(api, own, cycle_no, held)
    assert sorted(case.rest_paise for case in cases) == [-PAID_PAISE, PAID_PAISE]
    await desk.resolve(cases, MATCH)
    await own.hand_over(cash_paise=0, partner_id=held.partner_id)
    totals = (await own.statements(await closed(api, own)))[f"partner:{held.partner_id}"].totals
    assert (totals.closing_paise, totals.held_paise, totals.payable_paise) == (PAID_PAISE, 0, PAID_PAISE)
