"""A database of a million deliveries, filled once for the plans of every statement."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from libs.embedded.bootstrap import SCHEMAS, migrations_of
from libs.embedded.secret_store import RELAY_ROLE
from libs.embedded.stack import EmbeddedServers
from libs.postgres.migrate import migrate
from libs.postgres.pool import PoolLimits, create_pool
from tests.integration.plans.case import (
    BOOKS,
    BOOKS_OPERATOR,
    BOOKS_READER,
    BOOKS_WORKER,
    GATEWAY,
    MATCHER,
    NOTIFICATION_OPERATOR,
    NOTIFICATION_TENANT,
    NOTIFICATION_WORKER,
    OPERATOR,
    RELAY,
    TENANT,
)
from tests.integration.plans.world import World

_FILLS = (
    "fill.sql", "fill_notification.sql", "fill_ledger.sql", "fill_recon.sql", "fill_settlements.sql", "fill_papers.sql",
)  # fmt: skip
FILLS = [Path(__file__).with_name(name) for name in _FILLS]
DATABASE = "plans"
# Whose login takes the role in its transactions.
LOGINS = {
    TENANT: "assignment_api",
    OPERATOR: "assignment_api",
    MATCHER: MATCHER,
    GATEWAY: GATEWAY,
    RELAY: RELAY_ROLE,
    NOTIFICATION_TENANT: "notification_api",
    NOTIFICATION_OPERATOR: "notification_api",
    NOTIFICATION_WORKER: NOTIFICATION_WORKER,
    BOOKS: BOOKS,
    BOOKS_OPERATOR: "reconciliation_api",
    BOOKS_READER: "reconciliation_fallback",
    BOOKS_WORKER: BOOKS_WORKER,
}
_PARTITIONS = """
SELECT assignment.make_partition(c.relname, date_trunc('week', now(), 'UTC') - back * interval '7 days')
FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid CROSS JOIN generate_series(2, 13) AS back
WHERE c.relnamespace = 'assignment'::regnamespace
"""
# The shared servers' slots keep only so much of the log. What others refer to must
# stay logged, and is small.
_UNLOGGED = """
SELECT format('ALTER TABLE %s SET UNLOGGED', oid::regclass) FROM pg_class
WHERE relnamespace = 'assignment'::regnamespace AND relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = pg_class.oid)
"""
# Made again after the rows, which takes half the time.
_INDEXES = """
SELECT format('DROP INDEX %s', indexrelid::regclass) AS drop,
  replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS make
FROM pg_index JOIN pg_class ON oid = indexrelid
WHERE relnamespace = 'assignment'::regnamespace AND NOT indisunique AND NOT relispartition
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """The filled database: what is in it, and a pool for each role, with the settings of production."""

    world: World
    pools: dict[str, asyncpg.Pool]


@pytest.fixture(scope="session")
async def filled(embedded_servers: EmbeddedServers) -> AsyncIterator[Filled]:
    """Make the database, fill it, and drop it in the end."""
    server = await asyncpg.connect(embedded_servers.dsn())
    await server.execute(f"CREATE DATABASE {DATABASE}")
    try:
        dsn = embedded_servers.dsn(database=DATABASE)
        for schema in SCHEMAS:
            await migrate(dsn, migrations_of(schema), schema)
        owner = await asyncpg.connect(dsn, command_timeout=280)
        await _fill(owner)
        world = await World.read(owner)
        await owner.close()
        limits = PoolLimits(connections_max=1, statement_timeout_ms=60_000)
        async with AsyncExitStack() as stack:
            pools = {}
            for login in set(LOGINS.values()):
                pool = await create_pool(embedded_servers.dsn(login, database=DATABASE), limits, "test")
                pools[login] = await stack.enter_async_context(pool)
            yield Filled(world, {role: pools[login] for role, login in LOGINS.items()})
    finally:
        await server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        await server.close()


async def _fill(owner: asyncpg.Connection) -> None:
    await owner.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    await owner.execute("SET maintenance_work_mem = '256MB'; SET work_mem = '64MB'; SET default_statistics_target = 20")
    await owner.fetch(_PARTITIONS)
    for row in await owner.fetch(_UNLOGGED):
        await owner.execute(row[0])
    indexes = await owner.fetch(_INDEXES)
    for row in indexes:
        await owner.execute(row["drop"])
    for fill in FILLS:
        await owner.execute(fill.read_text())
    for row in indexes:
        await owner.execute(row["make"])
    await owner.execute("ANALYZE")
    # As autovacuum does: what is in an index alone is read from there, and where a run's results are is noted.
    await owner.execute("VACUUM reconciliation.discrepancies, reconciliation.results")
