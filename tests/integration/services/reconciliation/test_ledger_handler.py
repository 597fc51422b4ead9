"""The consumer on a real database: whatever the order, the repeats and the processes, each delivery is paid once."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.streams.codec import Event
from services.reconciliation.handlers.ledger import SCHEMA, Ledger
from services.reconciliation.ledger import store
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.postings import partner
from services.reconciliation.ledger.rates import RateCard
from services.reconciliation.ledger.waiting import WaitingDeliveries, WaitingLimits
from tests.integration.services.reconciliation.conftest import add_card
from tests.invariants import broken_invariants
from tests.ledger import EVENING, STORY, version_of
from tests.ledger_events import Told, partner_event

CANCELLED_LATE = (*STORY, "cancelled")
# 2,500 base, 4,153 for 5,185 m, 416 for 1.25 kg, 1,060 surge on these, 1,250 for 10 min, 900 peak, 500 bonus; less 1 %.
PAID_PAISE = -10_671


@pytest.fixture
def handler(books: asyncpg.Pool) -> Ledger:
    return Ledger(books)


async def entries(books: asyncpg.Pool, *told: Told) -> list[Entry]:
    async with books.acquire() as connection:
        return await store.entries_of(connection, [one.delivery_id for one in told])


async def balance(books: asyncpg.Pool, told: Told) -> int:
    async with books.acquire() as connection:
        return (await store.balance(connection, partner(told.partner_id), datetime.now(UTC)))[0]


async def waits_for(books: asyncpg.Pool, told: Told) -> str | None:
    found: str | None = await books.fetchval(
        "SELECT waits_for FROM reconciliation.deliveries WHERE delivery_id = $1", told.delivery_id
    )
    return found


def waiting(books: asyncpg.Pool) -> WaitingDeliveries:
    return WaitingDeliveries(books, SCHEMA, Ledger.name, WaitingLimits(look_deliveries_max=1_000))


def cut(events: Sequence[Event], chance: random.Random) -> list[list[Event]]:
    """Batches of any sizes."""
    batches, rest = [], list(events)
    while rest:
        size = chance.randint(1, 8)
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


async def test_a_day_s_work_is_paid_by_what_its_events_say(
    handler: Ledger, books: asyncpg.Pool, priced: RateCard, city_code: str
) -> None:
    told = Told(city_code)
    await handler.handle([told.partner_event, *told.events])
    (entry,) = await entries(books, told)
    assert entry.rate_card_id == priced.id
    named = [told.events[place].id for place in (0, 2, 3, 5)]
    assert list(map(str, entry.event_ids)) == [*named, told.partner_event.id]
    assert sum(posting.paise for posting in entry.postings) == 0
    assert await balance(books, told) == PAID_PAISE


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("priced")
async def test_any_order_with_repeats_pays_each_once(
    handler: Ledger, books: asyncpg.Pool, city_code: str, seed: int
) -> None:
    chance = random.Random(seed)
    paid = [Told(city_code) for _ in range(4)]
    undone = [Told(city_code, CANCELLED_LATE) for _ in range(2)]
    events = [event for told in (*paid, *undone) for event in (told.partner_event, *told.events)]
    events += chance.sample(events, 10)
    chance.shuffle(events)
    for batch in cut(events, chance):
        await handler.handle(batch)
    await waiting(books).look(datetime.now(UTC))
    assert [await balance(books, told) for told in paid] == [PAID_PAISE] * 4
    assert [await balance(books, told) for told in undone] == [0, 0]
    assert len(await entries(books, *paid)) == 4
    assert len(await entries(books, *undone)) in {0, 2, 4}


@pytest.mark.usefixtures("priced")
async def test_processes_with_the_same_and_with_other_events_of_a_delivery_pay_it_once(
    handler: Ledger, books: asyncpg.Pool, city_code: str
) -> None:
    told = [Told(city_code, CANCELLED_LATE) for _ in range(5)]
    await handler.handle([one.partner_event for one in told])
    halves = [[event for one in told for event in one.events[place::2]] for place in (0, 1)]
    whole = [event for one in told[::-1] for event in one.events]
    await asyncio.gather(*(handler.handle(batch) for batch in (*halves, whole, whole[::-1])))
    assert [await balance(books, one) for one in told] == [0] * 5
    assert [one.kind.value for one in await entries(books, *told)] in ([], ["earnings", "reversal"] * 5)


@pytest.mark.usefixtures("priced")
async def test_a_late_cancellation_is_one_reversing_entry_however_often_it_arrives(
    handler: Ledger, books: asyncpg.Pool, city_code: str
) -> None:
    told = Told(city_code, CANCELLED_LATE)
    await handler.handle([told.partner_event, *told.events[:-1]])
    assert await balance(books, told) == PAID_PAISE
    for _ in range(3):
        await handler.handle(told.events[-1:])
    # Published anew under another id, as by a replay of the log: still the same cancellation.
    await handler.handle([told.event_of(told.changes[-1])])
    earned, undone = await entries(books, told)
    assert undone.reverses == earned.id
    assert str(undone.cause_event_id) == told.events[-1].id
    assert await balance(books, told) == 0


async def test_what_has_no_rate_card_yet_is_paid_when_it_has_one(
    handler: Ledger, books: asyncpg.Pool, owner: asyncpg.Connection, city_code: str
) -> None:
    told = Told(city_code)
    await handler.handle([told.partner_event, *told.events])
    assert await waits_for(books, told) == "RATE_CARD_MISSING"
    await add_card(owner, city_code)
    assert await waiting(books).look(datetime.now(UTC)) >= 1
    assert await balance(books, told) == PAID_PAISE
    assert await waits_for(books, told) is None
    await waiting(books).look(datetime.now(UTC))
    assert len(await entries(books, told)) == 1


@pytest.mark.usefixtures("priced")
async def test_a_partner_who_is_heard_of_late_is_paid_then(
    handler: Ledger, books: asyncpg.Pool, city_code: str
) -> None:
    told = Told(city_code)
    await handler.handle(told.events)
    assert await waits_for(books, told) == "PARTNER_UNKNOWN"
    await handler.handle([told.partner_event])
    await asyncio.gather(*(waiting(books).look(datetime.now(UTC)) for _ in range(3)))
    assert await balance(books, told) == PAID_PAISE
    assert len(await entries(books, told)) == 1


async def test_a_partner_is_paid_by_what_it_was_at_the_hand_over_and_through_its_network(
    handler: Ledger, books: asyncpg.Pool, owner: asyncpg.Connection, city_code: str
) -> None:
    told, network_code = Told(city_code), f"net-{city_code.lower()}"
    card = await add_card(owner, city_code, network_code)
    then = version_of(told.partner_id, network_code=network_code)
    since = replace(then, version=2, network_code="", vehicle="van", changed_at=EVENING + timedelta(seconds=1))
    await handler.handle([partner_event(since), partner_event(then), *told.events])
    (entry,) = await entries(books, told)
    assert (entry.rate_card_id, entry.partner_version) == (card.id, 1)
    paid = {str(posting.account): posting.paise for posting in entry.postings}
    assert paid[f"network:{network_code}"] == PAID_PAISE
    assert f"partner:{told.partner_id}" not in paid


@pytest.mark.usefixtures("priced")
async def test_a_batch_that_fails_leaves_nothing_and_can_come_again(
    handler: Ledger, books: asyncpg.Pool, city_code: str
) -> None:
    told, bad = Told(city_code), Told(city_code)
    bad.events[0].message.delivery_created.delivery.details.cash_on_delivery.currency_code = "USD"
    with pytest.raises(ValueError, match="USD where INR is wanted"):
        await handler.handle([told.partner_event, *told.events, *bad.events])
    assert await entries(books, told) == []
    await handler.handle([told.partner_event, *told.events])
    assert await balance(books, told) == PAID_PAISE


async def test_what_all_these_tests_have_booked_breaks_no_invariant(embedded_servers: EmbeddedServers) -> None:
    assert await broken_invariants(embedded_servers.dsn(), "reconciliation") == {}
