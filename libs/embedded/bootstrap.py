"""What a new database cluster needs before the first service: roles, the database, the tables. Safe to repeat."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from libs.embedded.errors import PlatformError
from libs.embedded.polling import until
from libs.embedded.postgres import DATABASE, MAINTENANCE_DATABASE, PostgresServers
from libs.embedded.secret_store import OWNER_ROLE, RELAY_ROLE, REPLICATION_ROLE, SERVICE_ROLES
from libs.postgres.event_slot import ensure_first_epoch
from libs.postgres.migrate import MigrationError, migrate
from libs.postgres.outages import CONNECTION_LOST

SOURCE_ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ("assignment", "gateway", "notification", "reconciliation", "relay")


POLL_S = 0.02
RETRY_S = 0.2


class StepFailedError(PlatformError):
    """The database's roles or tables could not be brought up to date."""


def migrations_of(schema: str) -> Path:
    """The folder of a schema's SQL files."""
    return SOURCE_ROOT / "services" / schema / "migrations"


async def migrate_all(dsn: str, say: Callable[[str], None]) -> list[str]:
    """Bring every schema up to date and see that events have a slot; return the files applied now, as schema/file.

    Raises StepFailedError when one fails.
    """
    applied: list[str] = []
    for schema in SCHEMAS:
        directory = migrations_of(schema)
        if not directory.is_dir():
            continue
        try:
            names = await migrate(dsn, directory, schema)
        except MigrationError as error:
            raise StepFailedError(f"migrating schema {schema}: {error}") from error
        for name in names:
            say(f"applied migration {schema}/{name}")
            applied.append(f"{schema}/{name}")
    # Before the first service: an event that is committed while there is no slot is in no stream.
    await ensure_first_epoch(dsn)
    return applied


async def pending_migrations(dsn: str) -> list[str]:
    """The files that are not applied yet, as schema/file."""
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        pending = []
        for schema in SCHEMAS:
            table = f"{schema}.schema_migrations"
            exists = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
            # The schema's name is one of ours.
            rows = await connection.fetch(f"SELECT version FROM {table}") if exists else []  # noqa: S608 - as above
            known = {row["version"] for row in rows}
            files = sorted(migrations_of(schema).glob("[0-9]*.sql"))
            pending += [f"{schema}/{path.name}" for path in files if int(path.name[:4]) not in known]
        return pending
    finally:
        await connection.close()


def persistently(step: Callable[[], Awaitable[None]], timeout_s: float) -> Callable[[], Awaitable[None]]:
    """The step, begun again from its start as often as the server goes away meanwhile.

    Raises StepFailedError when the server refuses, or has been away for too long.
    """

    async def run() -> None:
        last_error: Exception | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        return await step()
                    except CONNECTION_LOST as error:
                        last_error = error
                        await asyncio.sleep(RETRY_S)
        except TimeoutError:
            raise StepFailedError(f"PostgreSQL could not be set up in {timeout_s:.0f} s: {last_error}") from last_error
        except asyncpg.PostgresError as error:
            raise StepFailedError(f"PostgreSQL refused to be set up: {error}") from error

    return run


@dataclass(frozen=True)
class Bootstrap:
    """The steps between a started primary and the first service."""

    servers: PostgresServers
    say: Callable[[str], None]

    async def create_roles(self) -> None:
        """Make the login roles with their generated passwords, the database, and who may enter it."""
        connection = await self._connect(MAINTENANCE_DATABASE)
        try:
            for role in (REPLICATION_ROLE, *SERVICE_ROLES):
                await self._create_role(connection, role)
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
            await connection.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {', '.join(SERVICE_ROLES)}")
        finally:
            await connection.close()
        connection = await self._connect(DATABASE)
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        finally:
            await connection.close()

    async def create_tables(self) -> None:
        """Apply the migrations that are missing."""
        await migrate_all(self.servers.dsn(OWNER_ROLE), self.say)

    async def wait_for_standby(self) -> None:
        """Return when the standby has replayed everything that is on the primary now."""
        connection = await self._connect(DATABASE)
        try:
            # Flushed, not inserted: what nobody committed may wait for seconds before it is sent.
            target = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        finally:
            await connection.close()
        standby = await asyncpg.connect(self.servers.dsn(OWNER_ROLE, standby=True))
        try:
            query = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
            await until(lambda: standby.fetchval(query, target), POLL_S)
        finally:
            await standby.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(self.servers.dsn(OWNER_ROLE, database=database))

    async def _create_role(self, connection: asyncpg.Connection, role: str) -> None:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
            await connection.execute(f"CREATE ROLE {role}")
        kind = "REPLICATION" if role in {REPLICATION_ROLE, RELAY_ROLE} else "NOREPLICATION"
        password = self.servers.secrets.password(role)
        await connection.execute(f"ALTER ROLE {role} LOGIN {kind} PASSWORD '{password}'")
