"""Weekly partitions: made ahead, dropped in the end, whatever the clock says and whoever else is at it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from pydantic import ValidationError

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.migrate import migrate
from services.assignment.retention import store
from services.assignment.retention.keeper import RetentionLimits, keep_house
from tests.weeks import MERCHANT, NOW, TABLES, WEEK, WORLD, Weeks

MIGRATIONS = Path(__file__).resolve().parents[4] / "services" / "assignment" / "migrations"
DATABASE = "retention"
LIMITS = RetentionLimits(weeks_ahead=2, weeks_ahead_min=1, weeks_kept=2, idempotency_key_days=7, forget_rows_max=2)
ALL = {*TABLES, "references"}


@pytest.fixture
async def weeks(embedded_servers: EmbeddedServers) -> AsyncIterator[Weeks]:
    server = await asyncpg.connect(embedded_servers.dsn())
    await server.execute(f"CREATE DATABASE {DATABASE}")
    try:
        await migrate(embedded_servers.dsn(database=DATABASE), MIGRATIONS, "assignment")
        owner = await asyncpg.connect(embedded_servers.dsn(database=DATABASE))
        matcher = await asyncpg.connect(embedded_servers.dsn("assignment_matcher", database=DATABASE))
        await owner.execute(WORLD)
        yield Weeks(owner, matcher)
        await owner.close()
        await matcher.close()
    finally:
        await server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        await server.close()


def week_of(at: datetime) -> str:
    year, week, _ = at.isocalendar()
    return f"{year}w{week:02}"


async def test_weeks_are_made_ahead_once_in_every_table(weeks: Weeks) -> None:
    later = NOW + 20 * WEEK
    made = await store.make_partitions(weeks.matcher, later, 2, 500)
    wanted = {f"{table}_{week_of(later + ahead * WEEK)}" for table in TABLES for ahead in (-1, 0, 1, 2)}
    assert set(made) == wanted
    assert wanted <= await weeks.partitions()
    assert await store.make_partitions(weeks.matcher, later, 2, 500) == []


async def test_a_delivery_and_all_that_hangs_on_it_are_in_the_week_it_was_made(weeks: Weeks) -> None:
    delivery_id = await weeks.deliver(NOW)
    for table in TABLES:
        assert await weeks.partition_of(table, delivery_id) == f"{table}_{week_of(NOW)}"


async def test_new_partitions_have_the_indexes_and_constraints_of_their_table(weeks: Weeks) -> None:
    await store.make_partitions(weeks.matcher, NOW + 20 * WEEK, 0, 500)
    query = "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = to_regclass('assignment.' || $1)"
    checks = "SELECT count(*) FROM pg_constraint WHERE contype <> 'n' AND conrelid = to_regclass('assignment.' || $1)"
    for table in TABLES:
        partition = f"{table}_{week_of(NOW + 20 * WEEK)}"
        for text in (query, checks):
            assert await weeks.owner.fetchval(text, partition) == await weeks.owner.fetchval(text, table) > 0


async def test_a_week_goes_with_everything_once_it_has_been_kept(weeks: Weeks) -> None:
    ids = await weeks.age(5)
    assert await keep_house(weeks.matcher, LIMITS, NOW)
    # Two full weeks before the one of now are kept.
    assert [await weeks.left(delivery_id) for delivery_id in ids] == [set()] * 3 + [ALL] * 3
    assert not {name for name in await weeks.partitions() if name.endswith(week_of(NOW - 5 * WEEK))}


async def test_a_reference_is_free_again_after_its_week_and_taken_until_then(weeks: Weeks) -> None:
    ids = await weeks.age(3)
    insert = "INSERT INTO assignment.delivery_references VALUES ($1, $2, $3)"
    with pytest.raises(asyncpg.UniqueViolationError):
        await weeks.owner.execute(insert, MERCHANT, str(ids[0]), new_id())
    await keep_house(weeks.matcher, LIMITS, NOW)
    await weeks.owner.execute(insert, MERCHANT, str(ids[0]), new_id())


async def test_a_week_with_a_live_delivery_stays_and_is_told_of(weeks: Weeks, caplog: pytest.LogCaptureFixture) -> None:
    await store.make_partitions(weeks.matcher, NOW - 4 * WEEK, 0, 500)
    live = await weeks.deliver(NOW - 4 * WEEK, "pending")
    ids = await weeks.age(3)
    with caplog.at_level(logging.WARNING, "retention"):
        await keep_house(weeks.matcher, LIMITS, NOW)
    assert await weeks.left(live) == ALL
    # It does not hold up the week after it.
    assert await weeks.left(ids[0]) == set()
    told = [record for record in caplog.records if "live" in record.getMessage()]
    assert [(record.week, record.live) for record in told] == [(week_of(NOW - 4 * WEEK), 1)]  # type: ignore[attr-defined]  # extra
    await weeks.owner.execute("UPDATE assignment.deliveries SET state = 'cancelled' WHERE id = $1", live)
    await keep_house(weeks.matcher, LIMITS, NOW)
    assert await weeks.left(live) == set()


async def test_a_delivery_that_comes_while_its_week_is_dropped_keeps_the_week(
    embedded_servers: EmbeddedServers, weeks: Weeks
) -> None:
    ids = await weeks.age(3)
    other = await asyncpg.connect(embedded_servers.dsn(database=DATABASE))
    late = Weeks(other, weeks.matcher)
    try:
        await store.drop_old_week(weeks.matcher, NOW, 2, 500)  # the empty one before
        transaction = other.transaction()
        await transaction.start()
        live = await late.deliver(NOW - 3 * WEEK, "pending")
        # It has counted the live ones, of which it saw none, and waits for the table.
        dropping = asyncio.create_task(store.drop_old_week(weeks.matcher, NOW, 2, 10_000))
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')"
        deadline = asyncio.get_running_loop().time() + 15
        while not await weeks.owner.fetchval(waits):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)
        await transaction.commit()
        assert await dropping == [store.OldWeek(week_of(NOW - 3 * WEEK), 1)]
    finally:
        await other.close()
    assert await weeks.left(live) == await weeks.left(ids[0]) == ALL


async def test_a_clock_that_jumps_ahead_drops_nothing_that_is_young(weeks: Weeks) -> None:
    ids = await weeks.age(3)
    for _ in range(2):
        await keep_house(weeks.matcher, LIMITS, NOW + 52 * WEEK)
    # What may go by the weeks that were delivered in: the oldest two, each with two such weeks after it.
    assert [await weeks.left(delivery_id) for delivery_id in ids] == [set(), set(), ALL, ALL]


async def test_a_clock_that_jumps_back_drops_nothing_and_loses_nothing(weeks: Weeks) -> None:
    ids = await weeks.age(3)
    assert await keep_house(weeks.matcher, LIMITS, NOW - 52 * WEEK)
    old = await weeks.deliver(NOW - 52 * WEEK)
    assert await weeks.partition_of("deliveries", old) == f"deliveries_{week_of(NOW - 52 * WEEK)}"
    assert [await weeks.left(delivery_id) for delivery_id in ids] == [ALL] * 4


async def test_what_came_before_its_week_moves_into_it(weeks: Weeks, caplog: pytest.LogCaptureFixture) -> None:
    ahead = NOW + 30 * WEEK
    stray = await weeks.deliver(ahead)
    assert await weeks.partition_of("deliveries", stray) == "deliveries_other"
    with caplog.at_level(logging.WARNING, "retention"):
        await keep_house(weeks.matcher, LIMITS, NOW)
    assert [record.rows for record in caplog.records if "no week" in record.getMessage()] == [len(TABLES)]  # type: ignore[attr-defined]  # extra
    await store.make_partitions(weeks.matcher, ahead, 0, 500)
    for table in TABLES:
        assert await weeks.partition_of(table, stray) == f"{table}_{week_of(ahead)}"
    assert (await store.partition_state(weeks.matcher, ahead, 0)).strays == 0


async def test_a_missing_week_to_come_is_an_error(weeks: Weeks, caplog: pytest.LogCaptureFixture) -> None:
    week = week_of(NOW + WEEK)
    await weeks.owner.execute(f"DROP TABLE assignment.offers_{week}")
    await weeks.owner.execute("BEGIN; LOCK TABLE assignment.offers_other IN SHARE MODE")
    with caplog.at_level(logging.WARNING, "retention"):
        await keep_house(weeks.matcher, LIMITS, NOW)
    assert [record.partitions for record in caplog.records if record.levelno == logging.ERROR] == [(f"offers_{week}",)]  # type: ignore[attr-defined]  # extra
    assert "a table is in use" in caplog.text
    await weeks.owner.execute("ROLLBACK")
    await keep_house(weeks.matcher, LIMITS, NOW)
    assert (await store.partition_state(weeks.matcher, NOW, 1)).missing == ()


async def test_what_the_schema_before_held_is_kept_when_tables_become_weekly(
    embedded_servers: EmbeddedServers, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql"))[:3]:
        (before / path.name).write_bytes(path.read_bytes())
    server = await asyncpg.connect(embedded_servers.dsn())
    await server.execute(f"CREATE DATABASE {DATABASE}")
    owner = None
    try:
        dsn = embedded_servers.dsn(database=DATABASE)
        await migrate(dsn, before, "assignment")
        owner = await asyncpg.connect(dsn)
        await owner.execute(WORLD)
        old = Weeks(owner, owner)
        ids = [await old.deliver(NOW + days * timedelta(days=1)) for days in (0, 8, 15, 700)]
        everything = "SELECT t::text FROM assignment.{} AS t ORDER BY 1"
        held = {table: await owner.fetch(everything.format(table)) for table in TABLES}
        await migrate(dsn, MIGRATIONS, "assignment")
        assert {table: await owner.fetch(everything.format(table)) for table in TABLES} == held
        for delivery_id in ids:
            places = {await old.partition_of(table, delivery_id) for table in TABLES}
            assert len({str(place).rpartition("_")[2] for place in places}) == 1
    finally:
        if owner is not None:
            await owner.close()
        await server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        await server.close()


async def test_one_of_two_keeps_house(embedded_servers: EmbeddedServers, weeks: Weeks) -> None:
    other = await asyncpg.connect(embedded_servers.dsn("assignment_matcher", database=DATABASE))
    try:
        assert await store.lead(weeks.matcher)
        assert not await keep_house(other, LIMITS, NOW)
        assert await store.make_partitions(other, NOW + 20 * WEEK, 0, 500) == []
        assert await store.drop_old_week(other, NOW, 1, 500) == []
        await store.stop_leading(weeks.matcher)
        assert await keep_house(other, LIMITS, NOW)
        # Both at once: whoever comes second finds it done or being done.
        at = NOW + 20 * WEEK
        both = await asyncio.gather(*(keep_house(connection, LIMITS, at) for connection in (weeks.matcher, other)))
        assert any(both)
        assert (await store.partition_state(other, at, LIMITS.weeks_ahead)).missing == ()
    finally:
        await other.close()


async def test_the_lock_of_one_that_died_is_free(embedded_servers: EmbeddedServers, weeks: Weeks) -> None:
    dying = await asyncpg.connect(embedded_servers.dsn("assignment_matcher", database=DATABASE))
    assert await store.lead(dying)
    dying.terminate()
    deadline = asyncio.get_running_loop().time() + 15
    while not await keep_house(weeks.matcher, LIMITS, NOW):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def test_keys_and_references_are_forgotten_in_batches_until_none_is_left(weeks: Weeks) -> None:
    keys = (
        "INSERT INTO assignment.idempotency_keys (scope, key, method, request_sha256, response, created_at)"
        " SELECT 'ops', k::text, '/m', '', '', now() - interval '8 days' FROM generate_series(1, 5) AS k"
    )
    await weeks.owner.execute(keys)
    await keep_house(weeks.matcher, LIMITS, NOW)
    assert await weeks.owner.fetchval("SELECT count(*) FROM assignment.idempotency_keys") == 0


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ValidationError, match="idempotency_key_days"):
        RetentionLimits(weeks_kept=1, idempotency_key_days=8)
    with pytest.raises(ValidationError, match="weeks_ahead_min"):
        RetentionLimits(weeks_ahead=1, weeks_ahead_min=2)
    with pytest.raises(ValidationError, match="weeks_kept"):
        RetentionLimits(weeks_kept=0)
