"""The wiring: from settings to a supervised platform."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from libs.embedded.banner import ready_banner
from libs.embedded.binaries import Binaries, find_binaries
from libs.embedded.bootstrap import Bootstrap, migrate_all, persistently
from libs.embedded.demo_network import write_entry
from libs.embedded.errors import PortTakenError
from libs.embedded.layout import Layout, create_layout, plan_layout
from libs.embedded.log_stream import Console
from libs.embedded.nodes import ProcessSpec, StepSpec
from libs.embedded.orphans import end_orphans
from libs.embedded.postgres import MAINTENANCE_DATABASE, PRIMARY, STANDBY, PostgresServers
from libs.embedded.process_info import port_holder, port_is_free
from libs.embedded.readiness import accepts_queries
from libs.embedded.secret_store import OWNER_ROLE, SecretStore
from libs.embedded.services import demo_spec, service_specs
from libs.embedded.settings import PlatformSettings
from libs.embedded.standby_keeper import StandbyKeeper
from libs.embedded.state import home_lock
from libs.embedded.supervisor import Supervisor
from libs.embedded.valkey import CONFIG_NAME, ValkeyServer
from libs.embedded.wiring import connections

VALKEY = "valkey"
ROLES, TABLES, CAUGHT_UP = "roles", "tables", "standby-caught-up"
SERVER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def run_platform(settings: PlatformSettings, *, servers_only: bool = False, console: Console | None = None) -> None:
    """Start everything, keep it running until SIGINT, SIGTERM or SIGHUP, then stop it in order.

    Raises AlreadyRunningError when another supervisor runs in this LASTMILE_HOME, SettingsError, LayoutError,
    BinaryMissingError or PortTakenError before anything is started, and StepFailedError when the database cannot
    be set up.
    """
    # Asked first, so that a half-given set of DSNs is refused before anything is made.
    needs_postgres, needs_redis = settings.embeds_postgres, settings.embeds_redis
    layout = plan_layout(settings)
    create_layout(layout)
    console = console or Console()
    try:
        with home_lock(layout):
            secrets = SecretStore(layout.secrets)
            secrets.create_missing()
            end_orphans(layout, settings, console.write)
            require_free_ports(settings, servers_only=servers_only)
            binaries = find_binaries(layout) if needs_postgres or needs_redis else None
            plan = _Plan(settings, layout, secrets, binaries, console, servers_only)
            asyncio.run(plan.run())
    finally:
        console.close()


def require_free_ports(settings: PlatformSettings, *, servers_only: bool) -> None:
    """Raise PortTakenError, naming every port that is taken, its setting and its holder."""
    ports = settings.server_ports() | ({} if servers_only else settings.service_ports())
    taken = [
        f"port {port} ({name}) is taken by {port_holder(port)}"
        for name, port in ports.items()
        if not port_is_free(str(settings.host), port)
    ]
    if taken:
        raise PortTakenError("; ".join(taken) + ". Stop it, or set the variable to a free port.")


@dataclass
class _Plan:
    settings: PlatformSettings
    layout: Layout
    secrets: SecretStore
    binaries: Binaries | None
    console: Console
    servers_only: bool

    async def run(self) -> None:
        nodes = self._nodes()
        supervisor = Supervisor(
            self.settings, self.layout, self.console, nodes, self._show_banner, servers_only=self.servers_only
        )
        self._supervisor = supervisor
        self._began_s = time.monotonic()
        if self._postgres:
            supervisor.watchers.append(StandbyKeeper(self._postgres, supervisor, STANDBY).watch)
        await supervisor.run()

    def _nodes(self) -> list[ProcessSpec | StepSpec]:
        nodes: list[ProcessSpec | StepSpec] = []
        needs: list[str] = []
        self._postgres: PostgresServers | None = None
        valkey: ValkeyServer | None = None
        if self.binaries is not None and self.settings.embeds_postgres:
            self._postgres = PostgresServers(self.settings, self.layout, self.binaries, self.secrets, self._say)
            nodes += self._postgres_nodes(self._postgres, self.binaries)
            needs += [TABLES, CAUGHT_UP]
        if self.binaries is not None and self.settings.embeds_redis:
            valkey = ValkeyServer(self.settings, self.layout, self.secrets)
            nodes.append(self._valkey_node(valkey, self.binaries))
            needs.append(VALKEY)
        if self.servers_only:
            return nodes
        known = connections(self.settings, self._postgres, valkey)
        if self._postgres is None:
            migration_dsn = known.dsns["migration_dsn"]
            nodes.append(self._step(TABLES, lambda: self._migrate_given(migration_dsn)))
            needs.append(TABLES)
        if self.settings.plays_network:
            write_entry(self.settings, self.secrets)
        services = service_specs(self.settings, self.layout, self.secrets, known, tuple(needs))
        nodes += services
        if self.settings.demo_rate_per_min:
            names = tuple(service.name for service in services)
            nodes.append(demo_spec(self.settings, self.layout, self.secrets, names))
        return nodes

    def _postgres_nodes(self, postgres: PostgresServers, binaries: Binaries) -> list[ProcessSpec | StepSpec]:
        bootstrap = Bootstrap(postgres, self._say)
        settings, layout = self.settings, self.layout

        def server(name: str, directory: Path, port: int, needs: tuple[str, ...], *, standby: bool) -> ProcessSpec:
            dsn = postgres.dsn(OWNER_ROLE, database=MAINTENANCE_DATABASE, standby=standby)

            async def is_ready(_pid: int) -> bool:
                return await accepts_queries(dsn, settings.probe_timeout_s, in_recovery=standby)

            return ProcessSpec(
                name,
                (str(binaries.postgres("postgres")), "-D", str(directory)),
                SERVER_ENVIRONMENT,
                layout.servers,
                needs,
                (port,),
                layout.account,
                postgres.prepare_standby if standby else postgres.prepare_primary,
                is_ready,
                stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown: ends sessions, writes a checkpoint
                grace_s=settings.server_grace_s,
            )

        return [
            server(PRIMARY, layout.primary, settings.postgres_port, (), standby=False),
            self._step(ROLES, bootstrap.create_roles, PRIMARY),
            self._step(TABLES, bootstrap.create_tables, ROLES),
            server(STANDBY, layout.standby, settings.standby_port, (ROLES,), standby=True),
            self._step(CAUGHT_UP, bootstrap.wait_for_standby, TABLES, STANDBY),
        ]

    def _valkey_node(self, valkey: ValkeyServer, binaries: Binaries) -> ProcessSpec:
        async def is_ready(_pid: int) -> bool:
            return await valkey.is_ready()

        return ProcessSpec(
            VALKEY,
            (str(binaries.valkey_server), str(self.layout.valkey / CONFIG_NAME)),
            SERVER_ENVIRONMENT,
            self.layout.servers,
            ports=(self.settings.redis_port,),
            account=self.layout.account,
            prepare=valkey.prepare,
            is_ready=is_ready,
            grace_s=self.settings.server_grace_s,
        )

    async def _migrate_given(self, dsn: str) -> None:
        await migrate_all(dsn, self._say)

    def _step(self, name: str, run: Callable[[], Awaitable[None]], *needs: str) -> StepSpec:
        return StepSpec(name, persistently(run, self.settings.ready_timeout_s), needs)

    def _say(self, text: str) -> None:
        self._supervisor.say(text)

    def _show_banner(self) -> None:
        self.console.write(
            ready_banner(self.settings, self.layout, time.monotonic() - self._began_s, servers_only=self.servers_only)
        )
