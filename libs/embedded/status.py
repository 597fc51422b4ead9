"""What runs now: the written state, checked against the operating system and the primary."""

import asyncio
import time

import asyncpg
from pydantic import BaseModel, ConfigDict

from libs.embedded.layout import Layout
from libs.embedded.postgres import MAINTENANCE_DATABASE, PRIMARY
from libs.embedded.postgres_config import STANDBY_APPLICATION
from libs.embedded.process_info import memory_bytes
from libs.embedded.secret_store import OWNER_ROLE, SecretStore
from libs.embedded.settings import PlatformSettings
from libs.embedded.state import PlatformState, ProcessState, is_locked, live_orphans, read_state

SUPERVISOR = "supervisor"
LAG_QUERY = """
SELECT state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag_bytes,
       coalesce(extract(epoch FROM replay_lag), 0)::float8 AS lag_s
FROM pg_stat_replication WHERE application_name = $1
"""


class Frozen(BaseModel):
    """A value."""

    model_config = ConfigDict(frozen=True)


class ProcessStatus(Frozen):
    """One process now. `proportional_bytes` counts shared memory once over all processes, so it can be added up."""

    name: str
    state: str
    pid: int | None
    restarts: int
    uptime_s: float | None
    resident_bytes: int
    proportional_bytes: int
    ports: tuple[int, ...]
    last_exit: str | None


class ReplicationStatus(Frozen):
    """The standby as the primary sees it; `state` is `absent` when it does not stream."""

    state: str
    lag_bytes: int | None
    lag_s: float | None


class PlatformStatus(Frozen):
    """The platform of one LASTMILE_HOME now. `leftovers` are processes of a supervisor that was killed."""

    running: bool
    ready: bool
    home: str
    servers: str
    relocated: bool
    since_s: float | None
    processes: tuple[ProcessStatus, ...]
    replication: ReplicationStatus | None
    leftovers: tuple[str, ...]

    @property
    def proportional_bytes(self) -> int:
        """The memory of everything together."""
        return sum(process.proportional_bytes for process in self.processes)


def collect_status(settings: PlatformSettings, layout: Layout) -> PlatformStatus:
    """Look at everything; never raises for what is not running."""
    state = live_state(layout)
    if state is None:
        locked = is_locked(layout)
        leftovers = () if locked else tuple(f"{orphan.name} ({orphan.pid})" for orphan in live_orphans(layout))
        return PlatformStatus(
            running=locked,
            ready=False,
            home=str(layout.home),
            servers=str(layout.servers),
            relocated=layout.relocated,
            since_s=None,
            processes=(),
            replication=None,
            leftovers=leftovers,
        )
    processes = (_supervisor_status(state), *(_process_status(process) for process in state.processes))
    return PlatformStatus(
        running=True,
        ready=state.ready_at_s is not None and all(process.state == "ready" for process in processes),
        home=state.home,
        servers=state.servers,
        relocated=layout.relocated,
        since_s=state.started_at_s,
        processes=processes,
        replication=asyncio.run(_replication(settings, layout, state)),
        leftovers=(),
    )


def live_state(layout: Layout) -> PlatformState | None:
    """The state of the supervisor that runs now; None when none does."""
    state = read_state(layout)
    return state if state is not None and state.is_live else None


def primary_dsn(settings: PlatformSettings, layout: Layout, state: PlatformState, database: str) -> str | None:
    """The owner's DSN on the embedded primary of a running platform; None when it runs none."""
    ports = [process.ports[0] for process in state.processes if process.name == PRIMARY]
    if not ports:
        return None
    password = SecretStore(layout.secrets).password(OWNER_ROLE)
    return f"postgresql://{OWNER_ROLE}:{password}@{settings.host}:{ports[0]}/{database}"


async def _replication(settings: PlatformSettings, layout: Layout, state: PlatformState) -> ReplicationStatus | None:
    dsn = primary_dsn(settings, layout, state, MAINTENANCE_DATABASE)
    if dsn is None:
        return None
    try:
        connection = await asyncpg.connect(dsn, timeout=settings.probe_timeout_s)
        try:
            row = await connection.fetchrow(LAG_QUERY, STANDBY_APPLICATION)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return ReplicationStatus(state="unknown: the primary does not answer", lag_bytes=None, lag_s=None)
    if row is None:
        return ReplicationStatus(state="absent", lag_bytes=None, lag_s=None)
    return ReplicationStatus(state=row["state"], lag_bytes=row["lag_bytes"], lag_s=row["lag_s"])


def _supervisor_status(state: PlatformState) -> ProcessStatus:
    resident, proportional = memory_bytes(state.pid, descendants=False)
    return ProcessStatus(
        name=SUPERVISOR,
        state="ready",
        pid=state.pid,
        restarts=0,
        uptime_s=time.time() - state.started_at_s,
        resident_bytes=resident,
        proportional_bytes=proportional,
        ports=(),
        last_exit=None,
    )


def _process_status(process: ProcessState) -> ProcessStatus:
    resident, proportional = memory_bytes(process.pid) if process.pid and process.is_live else (0, 0)
    return ProcessStatus(
        name=process.name,
        state=process.state,
        pid=process.pid,
        restarts=process.restarts,
        uptime_s=time.time() - process.started_at_s if process.started_at_s else None,
        resident_bytes=resident,
        proportional_bytes=proportional,
        ports=process.ports,
        last_exit=process.last_exit,
    )
