"""Cycles on a real database: every entry is in one statement of each party, once, and what is closed never changes."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.ledger.guarantee import guaranteed_paise
from services.reconciliation.settlements.closing import closer as closer_module
from services.reconciliation.settlements.closing import store as closing
from services.reconciliation.settlements.closing.closer import Closer
from services.reconciliation.settlements.store import OpenCycle
from tests.invariants import broken_invariants
from tests.ledger import STORY, TERMS, version_of
from tests.ledger_events import Told, partner_event
from tests.settlements import City, balances, kinds

CLOSED_S_MAX = 20
CANCELLED_LATE = (*STORY, "cancelled")
# See test_ledger_handler.py: earned, less 1 %; and the cash that its partner holds.
EARNED_PAISE, TDS_PAISE, CASH_PAISE = 10_779, -108, 49_900
FEE_PAISE, GST_PAISE = -12_849, -2_313


def partner(told: Told) -> str:
    return f"partner:{told.partner_id}"


async def test_a_statement_is_the_ledger_s_entries_as_its_party_sees_them(city: City) -> None:
    first, second = await city.hand_over(2)
    cycle_no = await city.close()
    found = await city.statement(cycle_no, partner(first))
    assert found is not None
    (line,) = found.lines
    assert (line.kind, line.delivery_id) == ("delivery", first.delivery_id)
    assert (line.work_paise, line.tax_paise, line.cash_paise) == (EARNED_PAISE, TDS_PAISE, -CASH_PAISE)
    # The cash in hand is set off: the partner owes more than it is owed.
    assert (found.totals.closing_paise, found.totals.payable_paise) == (EARNED_PAISE + TDS_PAISE - CASH_PAISE, 0)
    merchant = await city.statement(cycle_no, f"merchant:{second.merchant_id}")
    assert merchant is not None
    totals = merchant.totals
    assert (totals.work_paise, totals.tax_paise, totals.cash_paise) == (FEE_PAISE, GST_PAISE, CASH_PAISE)
    assert totals.payable_paise == CASH_PAISE + FEE_PAISE + GST_PAISE
    assert len(await city.statements(cycle_no)) == 4


async def test_what_is_not_paid_out_is_carried_on(city: City) -> None:
    (told,) = await city.hand_over()
    first = await city.statement(await city.close(), partner(told))
    second = await city.statement(await city.close(), partner(told))
    assert first is not None
    assert second is not None
    assert second.lines == ()
    assert second.totals.opening_paise == second.totals.closing_paise == first.totals.closing_paise


async def test_a_late_cancellation_is_one_linked_adjustment_however_often_it_arrives(city: City) -> None:
    told = Told(city.city_code, CANCELLED_LATE)
    await Ledger(city.books).handle([told.partner_event, *told.events[:-1]])
    before = await city.close()
    closed = await city.statement(before, partner(told))
    assert closed is not None
    for _ in range(3):
        await Ledger(city.books).handle([told.events[-1], told.event_of(told.changes[-1])])
    after = await city.statement(await city.close(), partner(told))
    assert after is not None
    (line,) = after.lines
    assert (line.kind, line.adjusts_cycle_no) == ("adjustment", before)
    assert line.adjusts_entry_id == closed.lines[0].entry_id
    assert line.paise == -closed.lines[0].paise
    assert after.totals.closing_paise == 0
    await Ledger(city.books).handle([told.events[-1]])
    assert await city.statement(await city.close(), partner(told)) is None
    assert await city.statement(before, partner(told)) == closed


async def test_what_is_undone_within_its_cycle_is_in_one_statement_and_worth_nothing(city: City) -> None:
    (told,) = await city.hand_over(states=CANCELLED_LATE)
    # Its hand-over was never paid where both were known at once.
    assert kinds(await city.statement(await city.close(), partner(told))) == {}
    other = Told(city.city_code, CANCELLED_LATE)
    await Ledger(city.books).handle([other.partner_event, *other.events[:-1]])
    await Ledger(city.books).handle(other.events[-1:])
    found = await city.statement(await city.close(), partner(other))
    assert found is not None
    assert kinds(found) == {"delivery": 1, "reversal": 1}
    assert found.totals.closing_paise == 0


@pytest.mark.parametrize("seed", range(4))
async def test_any_interleaving_puts_every_entry_into_one_cycle_and_sums_to_the_ledger(
    city: City, owner: asyncpg.Connection, seed: int
) -> None:
    chance = random.Random(seed)
    partners = [Told(city.city_code).partner_id for _ in range(3)]
    told = [
        Told(city.city_code, CANCELLED_LATE if chance.random() < 0.4 else STORY, chance.choice(partners))
        for _ in range(8)
    ]
    events = [event for one in told for event in (one.partner_event, *one.events)]
    events += chance.sample(events, 12)
    chance.shuffle(events)
    cycles = []
    while events:
        size = chance.randint(1, 30)
        await Ledger(city.books).handle(events[:size])
        events = events[size:]
        cycles.append(await city.close())
    parties = [partner(one) for one in told] + [f"merchant:{one.merchant_id}" for one in told]
    wanted = await balances(owner, parties)
    last: dict[str, int] = {}
    for cycle_no in cycles:
        statements = await city.statements(cycle_no)
        for party, found in statements.items():
            assert found.totals.opening_paise == last.get(party, 0)
        last = {party: found.totals.closing_paise for party, found in statements.items()}
    assert {party: paise for party, paise in last.items() if paise} == {p: v for p, v in wanted.items() if v}
    twice = await owner.fetchval(
        "SELECT count(*) FROM (SELECT e.delivery_id, l.party FROM reconciliation.settlement_lines l"
        " JOIN reconciliation.entries e ON e.id = l.entry_id WHERE l.kind = 'delivery' AND l.cycle_no = ANY ($1)"
        " GROUP BY 1, 2 HAVING count(*) > 1) d", cycles,
    )  # fmt: skip
    assert twice == 0


async def test_the_guarantee_tops_up_once_what_time_on_duty_did_not_earn(city: City, owner: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    (told,) = await city.hand_over()
    since = version_of(told.partner_id, version=2, changed_at=now - timedelta(hours=10), is_online=True,
                       city_code=city.city_code)  # fmt: skip
    slots = ((now - timedelta(hours=9), now - timedelta(hours=7)), (now - timedelta(hours=6), now - timedelta(hours=5)))
    later = replace(since, version=3, changed_at=now - timedelta(hours=9, minutes=30), slots=slots)
    gone = replace(since, version=4, changed_at=now - timedelta(hours=1), is_online=False)
    await Ledger(city.books).handle([partner_event(version) for version in (gone, since, later)])
    cycle_no = await city.close()
    found = await city.statement(cycle_no, partner(told))
    assert found is not None
    assert kinds(found) == {"delivery": 1, "guarantee": 1}
    guarantee = next(line for line in found.lines if line.kind == "guarantee")
    # Half an hour without slots, then three hours within them.
    assert guarantee.paise == guaranteed_paise(int(3.5 * 3_600), TERMS.guarantee_paise_per_h) - EARNED_PAISE
    row = await owner.fetchrow(
        "SELECT on_duty_s, earned_paise FROM reconciliation.settlement_top_ups WHERE entry_id = $1", guarantee.entry_id
    )
    assert tuple(row) == (12_600, EARNED_PAISE)
    assert kinds(await city.statement(await city.close(), partner(told))) == {}


async def test_time_on_duty_is_not_guessed_where_a_version_is_missing(city: City) -> None:
    (told,) = await city.hand_over()
    since = version_of(told.partner_id, version=2, changed_at=datetime.now(UTC) - timedelta(hours=10), is_online=True,
                       city_code=city.city_code)  # fmt: skip
    later = replace(since, version=4, changed_at=datetime.now(UTC) - timedelta(hours=1), is_online=False)
    await Ledger(city.books).handle([partner_event(since), partner_event(later)])
    assert kinds(await city.statement(await city.close(), partner(told))) == {"delivery": 1}


async def test_what_is_closed_never_changes_whoever_tries(
    city: City, owner: asyncpg.Connection, worker: asyncpg.Pool
) -> None:
    (told,) = await city.hand_over()
    cycle_no = await city.close()
    for table in ("settlement_lines", "settlement_statements"):
        for statement in (
            f"UPDATE reconciliation.{table} SET work_paise = work_paise + 1 WHERE cycle_no = {cycle_no}",
            f"DELETE FROM reconciliation.{table} WHERE cycle_no = {cycle_no}",
            f"TRUNCATE reconciliation.{table}",
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changes"):
                await owner.execute(statement)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changes"):
        await owner.execute("UPDATE reconciliation.settlement_cycles SET state = 'state' WHERE cycle_no = $1", cycle_no)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="gains nothing"):
        await worker.execute(
            "INSERT INTO reconciliation.settlement_lines (cycle_no, party, entry_id, kind, work_paise, tax_paise,"
            " cash_paise, paid_paise, paise) VALUES ($1, $2, gen_random_uuid(), 'delivery', 1, 0, 0, 0, 1)",
            cycle_no, partner(told),
        )  # fmt: skip


async def closed_by(closer: Closer, owner: asyncpg.Connection, cycle_no: int) -> None:
    """Have a worker work until a cycle is closed."""
    stop = asyncio.Event()
    working = asyncio.create_task(closer.run(stop))
    closed = "SELECT closed_at IS NOT NULL FROM reconciliation.settlement_cycles WHERE cycle_no = $1"
    try:
        async with asyncio.timeout(CLOSED_S_MAX):
            while not await owner.fetchval(closed, cycle_no):
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await working


# Of a statement that takes too long, too.
@pytest.mark.parametrize("error", [ValueError, asyncpg.QueryCanceledError])
async def test_a_cycle_that_fails_is_noted_and_keeps_no_other_from_being_closed(
    city: City, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    other = City(city.books, city.worker, f"{city.city_code}2")
    failing, whole = await city.open(), await other.open()
    gather = closing.gather

    async def fails(connection: asyncpg.Connection, cycle: OpenCycle, after: UUID, entries_max: int) -> UUID | None:
        if cycle.cycle_no == failing.cycle_no:
            raise error("this one always fails")
        return await gather(connection, cycle, after, entries_max)

    monkeypatch.setattr(closing, "gather", fails)
    closer = Closer(city.worker, city.limits.model_copy(update={"poll_s": 0.01, "retry_s": 0.05}))
    await closed_by(closer, owner, whole.cycle_no)
    said = "SELECT last_error FROM reconciliation.settlement_cycles WHERE cycle_no = $1"
    assert "always fails" in await owner.fetchval(said, failing.cycle_no)
    assert await owner.fetchval(said, whole.cycle_no) is None
    # It is tried again.
    monkeypatch.setattr(closing, "gather", gather)
    await closed_by(closer, owner, failing.cycle_no)
    assert await owner.fetchval(said, failing.cycle_no) is None


async def test_a_run_that_cannot_be_booked_keeps_no_cycle_from_being_closed(
    city: City, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> bool:
        raise ValueError("this one always fails")

    monkeypatch.setattr(closer_module, "book_next_run", fails)
    cycle = await city.open()
    await closed_by(Closer(city.worker, city.limits.model_copy(update={"poll_s": 0.01})), owner, cycle.cycle_no)


async def test_pieces_by_many_workers_make_what_one_would(
    books: asyncpg.Pool, worker: asyncpg.Pool, city: City
) -> None:
    await city.hand_over(6)
    cycle = await city.open()
    closers = [Closer(worker, city.limits) for _ in range(3)]
    busy = True
    while busy:
        busy = any([await closer.work_once() for closer in closers])
    statements = await city.statements(cycle.cycle_no)
    assert len(statements) == 12
    for party in statements:
        assert await city.statement(cycle.cycle_no, party) is not None


async def test_what_all_these_tests_have_settled_breaks_no_invariant(embedded_servers: EmbeddedServers) -> None:
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}
