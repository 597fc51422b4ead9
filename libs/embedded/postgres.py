"""The embedded PostgreSQL servers' data: a primary made once, a standby copied from it whenever it has to be."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from libs.embedded.binaries import Binaries
from libs.embedded.commands import run_tool
from libs.embedded.errors import PlatformError
from libs.embedded.layout import Layout, hand_over, write_private
from libs.embedded.postgres_config import (
    STANDBY_APPLICATION,
    STANDBY_SLOT,
    config_text,
    host_rules,
    primary_config,
    render_config,
    standby_config,
)
from libs.embedded.process_info import identify, processes_in
from libs.embedded.secret_store import OWNER_ROLE, REPLICATION_ROLE, SecretStore
from libs.embedded.settings import PlatformSettings
from libs.postgres.outages import NOT_ANSWERED

DATABASE = "lastmile"
MAINTENANCE_DATABASE = "postgres"
# The servers' names as processes.
PRIMARY, STANDBY = "postgres", "postgres-standby"
LINGER_TIMEOUT_S = 5.0
SLOT_RELEASE_S = 5
POLL_S = 0.05
_SYSTEM_IDENTIFIER = re.compile(r"^Database system identifier:\s+(\d+)$", re.MULTILINE)


class PrimaryAwayError(PlatformError):
    """The primary cannot be asked now."""


@dataclass(frozen=True)
class PostgresServers:
    """The two servers of one layout, and what may be done to their data while they are down."""

    settings: PlatformSettings
    layout: Layout
    binaries: Binaries
    secrets: SecretStore
    say: Callable[[str], None]

    def dsn(self, role: str, *, database: str = DATABASE, standby: bool = False) -> str:
        """How `role` connects to the primary, or to the standby."""
        port = self.settings.standby_port if standby else self.settings.postgres_port
        return f"postgresql://{role}:{self.secrets.password(role)}@{self.settings.host}:{port}/{database}"

    async def prepare_primary(self) -> None:
        """Make the primary's data if there is none, end what a killed server left behind, write its configuration."""
        data = self.layout.primary
        await self._end_leftovers(data)
        if not data.exists():
            self.say("making the database cluster")
            await self._make_cluster(data)
        self._configure(data, render_config(self.settings, port=self.settings.postgres_port) | primary_config())

    async def prepare_standby(self) -> None:
        """Make the standby's data, or make it anew when it can no longer follow the primary; write its configuration.

        While the primary is away nothing can be copied or compared: an existing standby then starts as it is.
        """
        data = self.layout.standby
        await self._end_leftovers(data)
        reason = await self._why_rebuild(data)
        if reason:
            self.say(f"{reason}: copying the primary")
            await self._copy_primary(data)
        password_file = self._write_password_file()
        config = render_config(self.settings, port=self.settings.standby_port)
        self._configure(data, config | standby_config(self.settings, password_file))

    def distrust_standby(self) -> None:
        """Make the standby's next start copy the primary."""
        self._distrusted.touch()

    async def is_streaming(self) -> bool | None:
        """Whether the primary sends to the standby now; None when the primary cannot be asked."""
        query = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'"
        try:
            async with self._primary() as connection:
                return bool(await connection.fetchval(query, STANDBY_APPLICATION))
        except PrimaryAwayError:
            return None

    async def _make_cluster(self, data: Path) -> None:
        draft = data.with_name(data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        hand_over(draft, self.layout)
        password_file = self.layout.servers / "initdb_password"
        write_private(password_file, self.secrets.password(OWNER_ROLE) + "\n", self.layout)
        try:
            await run_tool(
                [
                    str(self.binaries.postgres("initdb")),
                    f"--pgdata={draft}",
                    f"--username={OWNER_ROLE}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--data-checksums",
                ],
                self.layout,
                self.settings.command_timeout_s,
            )
        finally:
            password_file.unlink()
        draft.replace(data)
        _sync_directory(data.parent)

    async def _copy_primary(self, data: Path) -> None:
        async with self._primary() as connection:
            await _recreate_slot(connection)
        draft = data.with_name(data.name + ".new")
        for old in (data, draft):
            shutil.rmtree(old, ignore_errors=True)
        hand_over(draft, self.layout)
        await run_tool(
            [
                str(self.binaries.postgres("pg_basebackup")),
                f"--pgdata={draft}",
                f"--host={self.settings.host}",
                f"--port={self.settings.postgres_port}",
                f"--username={REPLICATION_ROLE}",
                "--no-password",
                "--checkpoint=fast",
                "--wal-method=stream",
                f"--slot={STANDBY_SLOT}",
            ],
            self.layout,
            self.settings.command_timeout_s,
            {"PGPASSFILE": str(self._write_password_file())},
        )
        write_private(draft / "standby.signal", "", self.layout)
        draft.replace(data)
        self._distrusted.unlink(missing_ok=True)

    @property
    def _distrusted(self) -> Path:
        return self.layout.servers / "standby.distrusted"

    async def _why_rebuild(self, data: Path) -> str:
        if not data.exists():
            return "there is no standby"
        if self._distrusted.exists():
            return "the standby could not follow the primary"
        try:
            async with self._primary() as connection:
                own = str(await connection.fetchval("SELECT system_identifier FROM pg_control_system()"))
                query = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1"
                slot = await connection.fetchval(query, STANDBY_SLOT)
        except PrimaryAwayError:
            return ""
        reasons = {
            "the primary no longer keeps the log for the standby": slot is None,
            "the standby was away for so long that the primary dropped the log it needs": slot == "lost",
            "the standby's data is not a standby's": not (data / "standby.signal").exists(),
            "the standby's data is not a copy of this primary": await self._system_identifier(data) != own,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    async def _system_identifier(self, data: Path) -> str:
        try:
            output = await run_tool(
                [str(self.binaries.postgres("pg_controldata")), str(data)], self.layout, self.settings.command_timeout_s
            )
        except PlatformError as error:
            self.say(f"the standby's data cannot be read: {error}")
            return ""
        match = _SYSTEM_IDENTIFIER.search(output)
        return match[1] if match else ""

    @asynccontextmanager
    async def _primary(self) -> AsyncIterator[asyncpg.Connection]:
        """The owner's connection to the primary; raises PrimaryAwayError when it cannot be used (any more)."""
        dsn = self.dsn(OWNER_ROLE, database=MAINTENANCE_DATABASE)
        timeout_s = self.settings.probe_timeout_s
        try:
            connection = await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s + SLOT_RELEASE_S)
            try:
                yield connection
            finally:
                connection.terminate()
        except NOT_ANSWERED as error:
            raise PrimaryAwayError(f"the primary does not answer: {error}") from error

    def _configure(self, data: Path, config: dict[str, str]) -> None:
        write_private(data / "postgresql.conf", config_text(config), self.layout)
        write_private(data / "pg_hba.conf", host_rules(self.settings), self.layout)

    def _write_password_file(self) -> Path:
        path = self.layout.servers / "replication_password"
        write_private(path, f"*:*:*:{REPLICATION_ROLE}:{self.secrets.password(REPLICATION_ROLE)}\n", self.layout)
        return path

    async def _end_leftovers(self, data: Path) -> None:
        """End a data directory's processes whose server was killed, and forget that server.

        Only its processes work in a data directory, and the platform starts no second server on one, so whoever is
        found there is left over. PostgreSQL refuses to start while one of them lives; and it refuses too when the
        number in postmaster.pid has by chance been given to another process of the account since.
        """
        leftovers = processes_in(data, "postgres") if data.exists() else []
        for pid in leftovers:
            _signal(pid, signal.SIGQUIT)
        deadline = asyncio.get_running_loop().time() + LINGER_TIMEOUT_S
        while any(identify(pid) for pid in leftovers):
            if asyncio.get_running_loop().time() > deadline:
                for pid in leftovers:
                    _signal(pid, signal.SIGKILL)
            await asyncio.sleep(POLL_S)
        (data / "postmaster.pid").unlink(missing_ok=True)


async def _recreate_slot(connection: asyncpg.Connection) -> None:
    """Make the standby's slot, reserving the log from now on; an old one goes, with whoever still holds it."""
    holder = "SELECT pg_terminate_backend(active_pid, $2) FROM pg_replication_slots WHERE slot_name = $1 AND active"
    await connection.fetch(holder, STANDBY_SLOT, SLOT_RELEASE_S * 1000)
    old = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"
    await connection.execute(old, STANDBY_SLOT)
    await connection.execute("SELECT pg_create_physical_replication_slot($1, true)", STANDBY_SLOT)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
