"""Runs know what settlements have paid, and what is held: neither is missing."""

from datetime import UTC, datetime, timedelta

import asyncpg
from lastmile.reconciliation.v1 import run_pb2
from lastmile.reconciliation.v1 import settlement_pb2 as pb

from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.runs.limits import RunLimits
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.settling import (
    PAID_PAISE,
    bank_says,
    closed,
    first_line,
    line_of,
    paid_out,
    payouts_in,
)
from tests.ledger import STORY
from tests.ledger_events import Told
from tests.recon import Day, Paid
from tests.recon_runs import booked, run_once, taken_in
from tests.settlements import City

LIMITS = RunLimits(payout_due_min=0, settle_s=0)
# More than a delivery earns, and less.
MUCH_PAISE, LITTLE_PAISE = 49_900, 1_000


class Runs:
    """Runs one after the other, each later than all that has happened by then."""

    def __init__(self, pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
        self._pool, self._owner = pool, owner
        self._ahead = timedelta(minutes=1)

    async def again(self) -> int:
        self._ahead += timedelta(seconds=10)
        run_no = await run_once(self._pool, datetime.now(UTC) + self._ahead, LIMITS)
        await booked(self._pool)
        return run_no

    async def missing(self, told: Told) -> set[str]:
        """The legs of a delivery that are said to be missing, and are not settled since."""
        rows = await self._owner.fetch(
            "SELECT leg FROM reconciliation.discrepancies WHERE delivery_id = $1 AND settled_run_no IS NULL",
            told.delivery_id,
        )
        return {row["leg"] for row in rows}

    async def rules(self, told: Told) -> dict[str, str]:
        """The rules that have settled the legs of a delivery."""
        rows = await self._owner.fetch(
            "SELECT leg, rule FROM reconciliation.results WHERE delivery_id = $1 AND is_settling", told.delivery_id
        )
        return {row["leg"]: row["rule"] for row in rows}

    async def classes(self, told: Told) -> set[str]:
        """What was ever found of a delivery."""
        rows = await self._owner.fetch(
            "SELECT class FROM reconciliation.discrepancies WHERE delivery_id = $1", told.delivery_id
        )
        return {row["class"] for row in rows}

    async def is_open(self, told: Told) -> set[str]:
        rows = await self._owner.fetch(
            "SELECT leg FROM reconciliation.open_legs WHERE delivery_id = $1", told.delivery_id
        )
        return {row["leg"] for row in rows}


async def paid_by_the_bank(api: LedgerApi, city: City, cycle_no: int) -> None:
    """Pay a cycle out, to one party."""
    await paid_out(api, cycle_no)
    [(reference, paise)] = (await payouts_in(api, cycle_no)).values()
    await bank_says(api, city, (reference, "PAID", paise))


async def test_what_a_payout_has_paid_is_settled_and_named(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    early = (await city.hand_over(cash_paise=0))[0]
    await runs.again()
    assert await runs.missing(early) == {"payout"}
    paid, sent, back, held = await city.hand_over(4, cash_paise=0)
    cycle_no = await closed(api, city)
    hold = line_of(held, await first_line(city, cycle_no, held), reason="looked into")
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**hold))
    await paid_out(api, cycle_no)
    references = {party: reference for party, (reference, _) in (await payouts_in(api, cycle_no)).items()}
    assert len(references) == 4
    await runs.again()
    # What is on its way is not there yet.
    assert [await runs.missing(one) for one in (early, paid, sent, back)] == [{"payout"}] * 4
    assert (await runs.missing(held), await runs.is_open(held)) == (set(), {"payout"})

    words = ((early, "PAID"), (paid, "PAID"), (back, "RETURNED"))
    await bank_says(api, city, *((references[f"partner:{one.partner_id}"], word, PAID_PAISE) for one, word in words))
    run_no = await runs.again()
    assert [await runs.rules(one) for one in (early, paid, sent, back, held)] == [
        {"payout": "settlement"}, {"payout": "settlement"}, {}, {}, {}
    ]  # fmt: skip
    assert [await runs.missing(one) for one in (early, paid, sent, back, held)] == [
        set(), set(), {"payout"}, {"payout"}, set(),
    ]  # fmt: skip
    run = await api.ask(api.runs.GetRun, run_pb2.GetRunRequest(run_no=run_no))
    assert run.tallies["settlement"] == 2
    explained = await api.ask(
        api.runs.ExplainDelivery, run_pb2.ExplainDeliveryRequest(delivery_id=str(paid.delivery_id))
    )
    # The line of the bank that says so.
    assert [line.reference for line in explained.lines] == [references[f"partner:{paid.partner_id}"]]

    # Whom a payout has paid is paid twice when a statement names the delivery too.
    again = Paid(str(paid.delivery_id), paid.partner_id, PAID_PAISE, datetime.now(UTC))
    await taken_in(pool, Day(paid=[again]).file())
    await runs.again()
    assert await runs.classes(paid) == {"missing_payout", "duplicate"}


async def test_cash_is_handed_in_when_it_is_taken_off_what_is_paid(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    much, little = [(await city.hand_over(cash_paise=paise))[0] for paise in (MUCH_PAISE, LITTLE_PAISE)]
    await runs.again()
    assert await runs.missing(much) == await runs.missing(little) == {"payout", "cash"}
    cycle_no = await closed(api, city)
    await runs.again()
    # Closing a cycle pays nobody.
    assert (await runs.rules(much), await runs.rules(little)) == ({}, {})
    await paid_out(api, cycle_no)
    await runs.again()
    # Who has more cash than was earned is owed nothing, and has not handed it in; who has less will be paid the rest.
    assert (await runs.rules(much), await runs.is_open(much)) == ({"payout": "settlement"}, {"cash"})
    assert (await runs.rules(little), await runs.is_open(little)) == ({"cash": "settlement"}, {"payout"})
    assert (await runs.missing(much), await runs.missing(little)) == ({"cash"}, {"payout"})


async def test_a_later_payout_does_not_pay_for_one_that_never_left(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    first = (await city.hand_over(cash_paise=0))[0]
    party = f"partner:{first.partner_id}"
    cycle_no = await closed(api, city)
    await paid_out(api, cycle_no)
    lost = (await payouts_in(api, cycle_no))[party]
    second = (await city.hand_over(cash_paise=0, partner_id=first.partner_id))[0]
    await paid_by_the_bank(api, city, await closed(api, city))
    await runs.again()
    assert (await runs.rules(first), await runs.rules(second)) == ({}, {"payout": "settlement"})
    # It comes back after the later one was made, so that this one does not have it.
    await bank_says(api, city, (lost[0], "RETURNED", lost[1]))
    await runs.again()
    assert (await runs.rules(first), await runs.missing(first)) == ({}, {"payout"})
    await paid_by_the_bank(api, city, await closed(api, city))
    await runs.again()
    assert (await runs.rules(first), await runs.missing(first)) == ({"payout": "settlement"}, set())


async def test_no_payout_is_no_set_off_while_an_earlier_one_is_under_way(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    first = Told(city.city_code, (*STORY, "cancelled"), cash_paise=0)
    books = Ledger(city.books)
    await books.handle([first.partner_event, *first.events[:-1]])
    # Its file is lost, the delivery undone and another one brought: the same is owed again.
    await paid_out(api, await closed(api, city))
    await books.handle([first.events[-1]])
    second = (await city.hand_over(cash_paise=0, partner_id=first.partner_id))[0]
    batch = await paid_out(api, await closed(api, city))
    assert batch.payouts_count == 0
    await runs.again()
    assert (await runs.rules(second), await runs.missing(second)) == ({}, {"payout"})


async def test_a_released_line_does_not_wait_for_payouts_that_never_had_it(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    held = (await city.hand_over(cash_paise=0))[0]
    await city.hand_over(cash_paise=0, partner_id=held.partner_id)
    cycle_no = await closed(api, city)
    entry_id = await clean.fetchval("SELECT id FROM reconciliation.entries WHERE delivery_id = $1", held.delivery_id)
    line = line_of(held, str(entry_id), reason="looked into")
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**line))
    # The bank says another amount, so that this one is never settled.
    await paid_out(api, cycle_no)
    [(reference, paise)] = (await payouts_in(api, cycle_no)).values()
    await bank_says(api, city, (reference, "PAID", paise - 1))
    await api.ask(api.settlements.ReleaseLine, pb.ReleaseLineRequest(**line))
    await paid_by_the_bank(api, city, await closed(api, city))
    await runs.again()
    assert (await runs.rules(held), await runs.missing(held)) == ({"payout": "settlement"}, set())


async def test_what_a_line_names_is_judged_by_the_line(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    told = (await city.hand_over(cash_paise=MUCH_PAISE))[0]
    await paid_out(api, await closed(api, city))
    line = Paid(str(told.delivery_id), told.partner_id, PAID_PAISE - 1_000, datetime.now(UTC))
    await taken_in(pool, Day(paid=[line]).file())
    await runs.again()
    assert await runs.classes(told) == {"underpaid", "cash_mismatch"}


async def test_a_line_that_was_let_go_after_a_payout_is_not_in_it(
    clean: asyncpg.Connection, api: LedgerApi, city: City, pool: asyncpg.Pool
) -> None:
    runs = Runs(pool, clean)
    first = (await city.hand_over(cash_paise=0))[0]
    second = (await city.hand_over(cash_paise=0, partner_id=first.partner_id))[0]
    cycle_no = await closed(api, city)
    entry_id = await clean.fetchval("SELECT id FROM reconciliation.entries WHERE delivery_id = $1", first.delivery_id)
    line = line_of(first, str(entry_id), reason="looked into")
    await api.ask(api.settlements.HoldLine, pb.HoldLineRequest(**line))
    await paid_by_the_bank(api, city, cycle_no)
    await api.ask(api.settlements.ReleaseLine, pb.ReleaseLineRequest(**line))
    await runs.again()
    assert (await runs.rules(first), await runs.rules(second)) == ({}, {"payout": "settlement"})
    assert await runs.missing(first) == {"payout"}
    await paid_by_the_bank(api, city, await closed(api, city))
    await runs.again()
    assert (await runs.rules(first), await runs.missing(first)) == ({"payout": "settlement"}, set())
