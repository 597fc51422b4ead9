"""Queries on the real primary and standby: whom they cannot hurt, what they know of their age, what they may cost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.postgres.errors import ConsistencyTokenUnknownError, PrimaryBudgetSpentError, QueriesTooManyError
from libs.postgres.log_clock import ClockLimits
from libs.postgres.log_position import number_of, position
from libs.postgres.pool import PoolLimits, create_pool
from libs.postgres.querying import QueryServers, querying
from libs.postgres.replica import NoStandbyError, QueryPool, ReplicaLimits
from libs.postgres.tenancy import Visibility
from tests.consumers import until
from tests.standby import replay_paused

VISIBILITY = Visibility("assignment_operator_reader")
FALLBACK_CONNECTIONS = 2
QUICK = ReplicaLimits(
    replay_wait_ms_max=400, query_wait_ms_max=200, queries_waiting_max=2, primary_queries_max=FALLBACK_CONNECTIONS,
    primary_waiting_max=0, primary_queries_per_s_max=20, standby_retry_ms=50,
)  # fmt: skip


def servers_of(servers: EmbeddedServers) -> QueryServers:
    return QueryServers(
        servers.dsn("assignment_query", standby=True), servers.dsn("assignment_fallback"), servers.dsn("assignment_api")
    )


@asynccontextmanager
async def pool_of(servers: QueryServers, limits: ReplicaLimits = QUICK) -> AsyncIterator[QueryPool]:
    fallback = PoolLimits(connections_min=0, connections_max=FALLBACK_CONNECTIONS)
    standby = PoolLimits(connections_min=0, connections_max=4)
    async with querying(servers, "queries-test", standby, fallback, ClockLimits(sample_every_ms=50), limits) as queries:
        yield queries


@pytest.fixture
async def queries(embedded_servers: EmbeddedServers) -> AsyncIterator[QueryPool]:
    async with pool_of(servers_of(embedded_servers)) as made:
        await until_known(made)
        yield made


@pytest.fixture
async def primary(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    """The commands' pool."""
    async with await create_pool(embedded_servers.dsn("assignment_api"), PoolLimits(), "queries-test") as made:
        yield made


async def until_known(queries: QueryPool) -> None:
    """Wait until the clock knows an age for what is replayed now."""

    async def is_known() -> bool:
        async with queries.reading(VISIBILITY) as reading:
            return queries.origin_of(reading).age_ms is not None

    await until(is_known)


async def write(primary: asyncpg.Pool) -> int:
    """Commit something; return the position that covers it."""
    await primary.execute("SELECT pg_logical_emit_message(true, 'test', 'x')")
    return number_of(await position(primary))


async def test_every_query_may_hang_and_commands_go_on(queries: QueryPool, primary: asyncpg.Pool) -> None:
    async def hang() -> None:
        async with queries.reading(VISIBILITY) as reading:
            await reading.connection.execute("SELECT pg_sleep(60)")

    hanging = [asyncio.create_task(hang()) for _ in range(20)]
    try:
        # Three hang, two wait for no longer than they may, and nobody else even that.
        await until(lambda: sum(task.done() for task in hanging) >= 17)
        refused = [task for task in hanging if task.done()]
        assert len(refused) == 17
        assert all(isinstance(task.exception(), QueriesTooManyError) for task in refused)
        async with asyncio.timeout(30):
            for _ in range(20):
                await write(primary)
        assert queries.is_up, "a busy standby is not one that is away"
    finally:
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_only_the_fallbacks_few_sessions_of_queries_are_on_the_primary(
    queries: QueryPool, embedded_servers: EmbeddedServers
) -> None:
    owner = await asyncpg.connect(embedded_servers.dsn())
    try:
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(queries.reading(VISIBILITY))
            for _ in range(FALLBACK_CONNECTIONS):
                await stack.enter_async_context(queries.reading_primary(VISIBILITY, "test"))
            with pytest.raises(PrimaryBudgetSpentError):
                await stack.enter_async_context(queries.reading_primary(VISIBILITY, "test"))
            rows = await owner.fetch(
                "SELECT usename, count(*) FROM pg_stat_activity WHERE usename IN ('assignment_query',"
                " 'assignment_fallback') AND application_name LIKE 'queries-test%' GROUP BY usename"
            )
        assert {row["usename"]: row["count"] for row in rows} == {"assignment_fallback": FALLBACK_CONNECTIONS}
        limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'assignment_fallback'"
        assert await owner.fetchval(limit) == 16
    finally:
        await owner.close()


@pytest.mark.parametrize("login", ["assignment_query", "assignment_fallback"])
async def test_a_querys_login_can_change_nothing_on_the_primary(embedded_servers: EmbeddedServers, login: str) -> None:
    connection = await asyncpg.connect(embedded_servers.dsn(login))
    try:
        # Whoever turns the default off still has no right to write.
        await connection.execute("SET default_transaction_read_only = off")
        for role in ("assignment_operator_reader", "assignment_tenant_reader"):
            await connection.execute(f"SET ROLE {role}")
            for table in ("deliveries", "partners", "offers", "cities", "merchants", "idempotency_keys"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(f"DELETE FROM assignment.{table}")
            await connection.execute("RESET ROLE")
        for role in ("assignment_operator", "assignment_tenant", "assignment_matcher"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SET ROLE {role}")
    finally:
        await connection.close()


async def test_a_merchants_queries_see_its_own_rows_only(embedded_servers: EmbeddedServers) -> None:
    connection = await asyncpg.connect(embedded_servers.dsn("assignment_query", standby=True))
    try:
        await connection.execute("SET ROLE assignment_tenant_reader")
        for table in ("deliveries", "offers", "explanations", "delivery_changes", "merchants", "merchant_partners"):
            assert await connection.fetchval(f"SELECT count(*) FROM assignment.{table}") == 0
    finally:
        await connection.close()


async def test_a_dsn_for_queries_that_names_the_primary_is_refused(embedded_servers: EmbeddedServers) -> None:
    wrong = QueryServers(
        embedded_servers.dsn("assignment_query"),
        embedded_servers.dsn("assignment_fallback"),
        embedded_servers.dsn("assignment_api"),
    )
    with pytest.raises(NoStandbyError):
        async with pool_of(wrong):
            pass
    alone = QUICK.model_copy(update={"single_server": True})
    async with pool_of(wrong, alone) as queries, queries.reading(VISIBILITY) as reading:
        assert queries.origin_of(reading).source == "primary"


async def test_a_standby_that_stands_still_says_how_old_it_is(
    queries: QueryPool, primary: asyncpg.Pool, embedded_servers: EmbeddedServers
) -> None:
    async with replay_paused(embedded_servers):
        await write(primary)
        stopped_s = time.monotonic()
        while time.monotonic() - stopped_s < 0.6:
            await asyncio.sleep(0.02)
        async with queries.reading(VISIBILITY) as reading:
            lacks_ms = (time.monotonic() - stopped_s) * 1000
            origin = queries.origin_of(reading)
        assert origin.source == "standby"
        assert origin.age_ms is not None
        # It is told in whole milliseconds.
        assert origin.age_ms >= lacks_ms - 1, "what it lacks is older than it says"
    wanted = await write(primary)
    async with queries.reading(VISIBILITY, wanted) as reading:
        origin = queries.origin_of(reading)
    assert origin.position is None or origin.position >= wanted


async def test_ones_own_write_is_seen_on_the_primary_within_a_budget_and_beyond_it_refused(
    queries: QueryPool, primary: asyncpg.Pool, embedded_servers: EmbeddedServers
) -> None:
    async with replay_paused(embedded_servers):
        wanted = await write(primary)
        async with queries.reading(VISIBILITY, wanted) as reading:
            assert reading.position is None

        async def ask() -> bool:
            try:
                async with queries.reading(VISIBILITY, wanted) as reading:
                    assert reading.position is None
                    await reading.connection.execute("SELECT pg_sleep(0.05)")
            except PrimaryBudgetSpentError as error:
                assert error.retry_after_s  # noqa: PT017 - one of many calls, and some are answered
                return False
            return True

        answered = await asyncio.gather(*(ask() for _ in range(100)))
        assert 1 <= sum(answered) <= QUICK.primary_queries_per_s_max
        # Whoever asks for no position is answered as ever.
        async with queries.reading(VISIBILITY) as reading:
            assert reading.position is not None

    async def is_replayed() -> bool:
        try:
            async with queries.reading(VISIBILITY, wanted) as reading:
                return reading.position is not None and reading.position >= wanted
        except PrimaryBudgetSpentError:
            return False

    # A standby that has yet to catch up is asked again.
    await until(is_replayed)


async def test_a_position_that_nobody_was_given_costs_the_primary_nothing(queries: QueryPool) -> None:
    with pytest.raises(ConsistencyTokenUnknownError):
        async with queries.reading(VISIBILITY, number_of("FFFFFFFF/FFFFFFFF")):
            pass
