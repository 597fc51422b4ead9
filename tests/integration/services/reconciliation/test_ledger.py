"""The ledger in a real database: entries balance and never change, a cause is booked once, a balance has its moment."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.tenancy import Visibility, visible
from services.reconciliation.ledger import store
from services.reconciliation.ledger.booking import EntryKind
from services.reconciliation.ledger.earnings import earnings_of
from services.reconciliation.ledger.entry import Entry
from services.reconciliation.ledger.postings import EARNINGS, Posting, delivery_postings, merchant, partner
from services.reconciliation.ledger.rates import RateCard
from tests.ledger import EVENING, TERMS, trip
from tests.statements import named_statements

TABLES = ("entries", "postings", "rate_cards")
# Four thousand entries of a hundred partners, to be rolled back.
_MANY = """
WITH made AS (
  INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
    partner_version, rate_card_id, postings_count, occurred_at, booked_at)
  SELECT gen_random_uuid(), 'earnings', gen_random_uuid(), ARRAY[gen_random_uuid()], gen_random_uuid(),
    gen_random_uuid(), gen_random_uuid(), 1, $1, 1, now(), now() - n * interval '1 minute'
  FROM generate_series(1, 4000) AS n RETURNING id, booked_at)
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, booked_at)
SELECT id, 1, 1, 'partner:p' || row_number() OVER () % 100, 'earnings', 5, booked_at FROM made
"""


def entry(card: RateCard, **changes: object) -> Entry:
    """An entry of earnings of a trip, a partner and a merchant of its own."""
    made = trip(delivery_id=new_id(), partner_id=new_id(), merchant_id=new_id())
    cause = new_id()
    booked = Entry(
        id=new_id(),
        kind=EntryKind.EARNINGS,
        cause_event_id=cause,
        event_ids=(new_id(), cause),
        delivery_id=made.delivery_id,
        merchant_id=made.merchant_id,
        partner_id=made.partner_id,
        partner_version=1,
        rate_card_id=card.id,
        reverses=None,
        corrects=None,
        occurred_at=EVENING,
        booked_at=datetime.now(UTC),
        postings=delivery_postings(made, "", earnings_of(made, TERMS)),
    )
    return replace(booked, **changes)  # type: ignore[arg-type]  # names are the fields'


async def add(books: asyncpg.Pool, *entries: Entry) -> int:
    async with books.acquire() as connection, connection.transaction():
        return await store.add(connection, entries)


async def found(books: asyncpg.Pool, *delivery_ids: UUID) -> list[Entry]:
    async with books.acquire() as connection:
        return await store.entries_of(connection, delivery_ids)


async def test_an_entry_is_read_as_it_was_written(books: asyncpg.Pool, priced: RateCard) -> None:
    first, second = entry(priced), entry(priced)
    assert await add(books, first, second) == 2
    assert await found(books, second.delivery_id, first.delivery_id) == [first, second]


async def test_postings_that_do_not_sum_to_zero_are_refused_at_the_commit(
    books: asyncpg.Pool, priced: RateCard
) -> None:
    whole = entry(priced)
    one_too_much = replace(whole.postings[0], paise=whole.postings[0].paise + 1)
    with pytest.raises(asyncpg.CheckViolationError, match="sum to 1 paise"):
        await add(books, replace(whole, postings=(one_too_much, *whole.postings[1:])))
    assert await found(books, whole.delivery_id) == []


async def test_an_entry_without_one_of_its_postings_is_refused_at_the_commit(
    books: asyncpg.Pool, priced: RateCard
) -> None:
    statement = named_statements()["reconciliation.ledger.store.ADD_ENTRIES"]
    cause = new_id()
    row = (
        new_id(),
        "earnings",
        cause,
        f"{{{cause}}}",
        new_id(),
        new_id(),
        new_id(),
        1,
        priced.id,
        None,
        EVENING,
        EVENING,
        2,
    )
    with pytest.raises(asyncpg.CheckViolationError, match="has 0 postings, and states 2"):
        await books.execute(statement, *([value] for value in row))


async def test_nothing_can_be_added_to_an_entry_later_even_if_it_balances(
    books: asyncpg.Pool, priced: RateCard
) -> None:
    booked = entry(priced)
    await add(books, booked)
    for count, lines, refusal in (
        (9, (10, 11), asyncpg.CheckViolationError),
        (11, (10, 11), asyncpg.ForeignKeyViolationError),
        (9, (1, 2), asyncpg.UniqueViolationError),
    ):
        with pytest.raises(refusal):
            await books.executemany(
                "INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise,"
                " booked_at) VALUES ($1, $2, $3, $4, 'more', $5, now())",
                [(booked.id, line, count, str(EARNINGS), paise) for line, paise in zip(lines, (5, -5), strict=True)],
            )
    assert await found(books, booked.delivery_id) == [booked]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_nobody_changes_what_is_booked_not_even_the_owner(
    owner: asyncpg.Connection, books: asyncpg.Pool, priced: RateCard, table: str, statement: str
) -> None:
    await add(books, entry(priced))
    column = "entry_id" if table == "postings" else "id"
    text = statement.format(f"reconciliation.{table}", column, column)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changes"):
        await owner.execute(text)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await books.execute(text)


@pytest.mark.parametrize("login", ["reconciliation_api", "reconciliation_query", "reconciliation_fallback"])
async def test_a_login_that_chose_no_role_sees_nothing(embedded_servers: EmbeddedServers, login: str) -> None:
    connection = await asyncpg.connect(embedded_servers.dsn(login))
    try:
        for table in (*TABLES, "deliveries", "delivery_changes", "partner_versions"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM reconciliation.{table}")
    finally:
        await connection.close()


async def test_a_merchant_reads_its_own_postings_and_writes_nothing(
    embedded_servers: EmbeddedServers, books: asyncpg.Pool, priced: RateCard
) -> None:
    mine, other = entry(priced), entry(priced)
    await add(books, mine, other)
    connection = await asyncpg.connect(embedded_servers.dsn("reconciliation_fallback"))
    tenant = Visibility.of("reconciliation_tenant_reader", [mine.merchant_id])
    try:
        async with visible(connection, tenant):
            (seen,) = await store.entries_of(connection, [mine.delivery_id, other.delivery_id])
            everything = await connection.fetch("SELECT DISTINCT account FROM reconciliation.postings")
        assert {posting.account for posting in seen.postings} == {merchant(mine.merchant_id)}
        assert [row["account"] for row in everything] == [str(merchant(mine.merchant_id))]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with visible(connection, tenant):
                await connection.fetch("SELECT * FROM reconciliation.rate_cards")
    finally:
        await connection.close()


async def test_the_same_cause_is_booked_once_whoever_books_it(books: asyncpg.Pool, priced: RateCard) -> None:
    first = entry(priced)
    copies = [replace(first, id=new_id()) for _ in range(5)]
    added = await asyncio.gather(*(add(books, copy) for copy in copies))
    assert sorted(added) == [0, 0, 0, 0, 1]
    assert await add(books, first) == 0
    assert len(await found(books, first.delivery_id)) == 1


async def test_a_delivery_is_paid_once_even_for_another_cause(books: asyncpg.Pool, priced: RateCard) -> None:
    first = entry(priced)
    await add(books, first)
    with pytest.raises(asyncpg.UniqueViolationError, match="entry_once_for_delivery"):
        await add(books, replace(first, id=new_id(), cause_event_id=new_id()))


async def test_a_balance_is_of_its_moment(books: asyncpg.Pool, priced: RateCard) -> None:
    before, after = entry(priced), entry(priced)
    later = before.booked_at + timedelta(minutes=1)
    same = tuple(
        Posting(partner(before.partner_id), p.purpose, p.paise) if p.account == partner(after.partner_id) else p
        for p in after.postings
    )
    await add(books, before, replace(after, partner_id=before.partner_id, postings=same, booked_at=later))
    account = partner(before.partner_id)
    async with books.acquire() as connection:
        assert await store.balance(connection, account, before.booked_at - timedelta(seconds=1)) == (0, 0)
        assert await store.balance(connection, account, before.booked_at) == (-10_402, 1)
        assert await store.balance(connection, account, later - timedelta(microseconds=1)) == (-10_402, 1)
        assert await store.balance(connection, account, later) == (-20_804, 2)


async def test_a_balance_comes_from_its_index_alone(owner: asyncpg.Connection, priced: RateCard) -> None:
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(_MANY, priced.id)
        await owner.execute("ANALYZE reconciliation.postings")
        await owner.execute("SET LOCAL enable_bitmapscan = off")
        # As the product's pools have it: how large the table is by then is no concern of this test.
        await owner.execute("SET LOCAL random_page_cost = 1.1")
        text = named_statements()["reconciliation.ledger.store.BALANCE"]
        rows = await owner.fetch(f"EXPLAIN {text}".replace("$1", "'partner:p7'").replace("$2", "now()"))
    finally:
        await transaction.rollback()
    plan = "\n".join(row[0] for row in rows)
    assert "Index Only Scan using postings_by_account" in plan
    assert "booked_at <=" in plan
