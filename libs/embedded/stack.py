"""The platform as a context manager, for tests and benchmarks: real servers, random free ports, gone afterwards.

with EmbeddedServers(tmp_path / "home") as servers:
    pool = await asyncpg.create_pool(servers.dsn("assignment_api"))

with RunningStack(tmp_path / "home") as stack:
    httpx.get(f"{stack.base_url}/healthz")
    stack.kill("assignment-matcher", signal.SIGKILL)
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from libs.embedded.errors import NotReadyError
from libs.embedded.free_ports import free_ports
from libs.embedded.layout import plan_layout
from libs.embedded.orphans import end_orphans
from libs.embedded.postgres import DATABASE
from libs.embedded.process_info import identify, is_alive
from libs.embedded.secret_store import OWNER_ROLE, REDIS, SecretStore
from libs.embedded.settings import POSTGRES_DSN_FIELDS, PlatformSettings, load_settings, variable
from libs.embedded.state import PlatformState, ProcessState, read_state

PORT_FIELDS = (
    "gateway_http_port",
    "gateway_grpc_port",
    "assignment_port",
    "assignment_metrics_port",
    "assignment_queries_port",
    "assignment_queries_metrics_port",
    "assignment_consumer_port",
    "assignment_consumer_metrics_port",
    "matcher_port",
    "matcher_metrics_port",
    "dispatcher_port",
    "dispatcher_metrics_port",
    "notification_port",
    "notification_receipts_port",
    "notification_consumer_port",
    "notification_consumer_metrics_port",
    "notification_sender_port",
    "notification_sender_metrics_port",
    "notification_alerter_port",
    "notification_alerter_metrics_port",
    "sandbox_network_port",
    "relay_port",
    "relay_metrics_port",
    "reconciliation_port",
    "reconciliation_metrics_port",
    "reconciliation_consumer_port",
    "reconciliation_consumer_metrics_port",
    "reconciliation_worker_port",
    "reconciliation_worker_metrics_port",
    "postgres_port",
    "standby_port",
    "redis_port",
)
PROCESS_COUNT_FIELDS = ("matcher_processes", "assignment_api_processes")
POLL_S = 0.05
LOG_LINES_SHOWN = 40


class _Stack:
    """A supervisor as a subprocess, in a home of its own."""

    servers_only = False

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment` adds to or overrides the LASTMILE_* variables; nothing of that name is inherited."""
        self._given = dict(environment or {})
        # Of what runs in several processes, each has the port after that of the one before.
        in_a_row = max(int(self._given.get(variable(field), 1)) for field in PROCESS_COUNT_FIELDS)
        ports = free_ports(len(PORT_FIELDS), in_a_row)
        self._ports = {variable(field): str(port) for field, port in zip(PORT_FIELDS, ports, strict=True)}
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.settings: PlatformSettings = self._load()
        self.layout = plan_layout(self.settings)
        self._secrets = SecretStore(self.layout.secrets)

    def start(self) -> Self:
        """Start, and return when everything is ready; raises NotReadyError with the end of the log otherwise."""
        self.layout.home.mkdir(parents=True, exist_ok=True)
        output = (self.layout.home / "up.log").open("ab")
        # Its input is never written to: its end tells that this process is gone, even by SIGKILL.
        arguments = [sys.executable, "-m", "libs.embedded", "--until-stdin-ends"]
        arguments += ["--servers-only"] if self.servers_only else []
        with output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                arguments, env=self.environment, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Return when the supervisor has said that everything was ready, and every process is ready now."""
        deadline_s = time.monotonic() + (timeout_s or self.settings.ready_timeout_s)
        while not self._is_ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline_s:
                end = "\n".join(self.log_text().splitlines()[-LOG_LINES_SHOWN:])
                raise NotReadyError(f"the platform {'ended' if ended else 'was not ready in time'}:\n{end}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop everything in order and return when it is gone. The data stays: start() goes on with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
        self._forget_supervisor()
        end_orphans(self.layout, self.settings, lambda _: None)

    def remove_data(self) -> None:
        """Remove what lives outside the home. Only while stopped."""
        if self.layout.relocated:
            shutil.rmtree(self.layout.servers, ignore_errors=True)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process by its name, or to `supervisor`; returns the number of the process it went to.

        After SIGKILL it is gone when this returns; wait_ready() then waits for its successor.
        """
        state = self.state()
        pid = state.pid if name == "supervisor" else state.process(name).pid
        if pid is None:
            raise NotReadyError(f"{name} is not running")
        identity = identify(pid)
        os.kill(pid, number)
        if number == signal.SIGKILL and identity is not None:
            while is_alive(identity):  # the kernel is about to end it
                time.sleep(POLL_S)
            if name == "supervisor":
                self._forget_supervisor()
        return pid

    def state(self) -> PlatformState:
        """What the supervisor last wrote down."""
        state = read_state(self.layout)
        if state is None:
            raise NotReadyError("the platform has not started")
        return state

    def process(self, name: str) -> ProcessState:
        """A supervised process."""
        return self.state().process(name)

    def log_text(self) -> str:
        """Everything the supervisor has shown so far."""
        path = self.layout.home / "up.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment for commands that should meet this platform (`lastmile status`)."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LASTMILE_")}
        own = {"LASTMILE_HOME": str(self._home.resolve()), "LASTMILE_SERVER_DATA_PARENT": tempfile.gettempdir()}
        return kept | self._ports | own | self._given

    @property
    def redis_url(self) -> str:
        """Valkey's URL, with its password."""
        return f"redis://:{self._secrets.password(REDIS)}@{self.settings.host}:{self.settings.redis_port}/0"

    def dsn(self, role: str = OWNER_ROLE, *, standby: bool = False, database: str = DATABASE) -> str:
        """The DSN of `role` (lastmile or one of SERVICE_ROLES) on the primary or the standby."""
        port = self.settings.standby_port if standby else self.settings.postgres_port
        return f"postgresql://{role}:{self._secrets.password(role)}@{self.settings.host}:{port}/{database}"

    @property
    def vault_file(self) -> Path:
        """The keys that the notification service keeps personal data with."""
        return self._secrets.notification_vault_file

    def _load(self) -> PlatformSettings:
        # The settings of the subprocess, read the way it reads them.
        kept = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            return load_settings()
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def _forget_supervisor(self) -> None:
        if self._process is not None:
            self._process.wait(self.settings.server_grace_s * 3)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def _is_ready(self) -> bool:
        state = read_state(self.layout)
        return (
            state is not None
            and state.is_live
            and state.ready_at_s is not None
            and all(process.state == "ready" and process.is_live for process in state.processes)
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.remove_data()


class EmbeddedServers(_Stack):
    """PostgreSQL with its standby, and Valkey; roles and tables made, no services. Ready in about three seconds."""

    servers_only = True

    @property
    def service_environment(self) -> dict[str, str]:
        """What the services read: every DSN, the Redis URL, the token keys, the bootstrap key."""
        dsns = {
            "migration_dsn": self.dsn(),
            "assignment_dsn": self.dsn("assignment_api"),
            "assignment_query_dsn": self.dsn("assignment_query", standby=True),
            "assignment_fallback_dsn": self.dsn("assignment_fallback"),
            "matcher_dsn": self.dsn("assignment_matcher"),
            "gateway_dsn": self.dsn("gateway"),
            "gateway_query_dsn": self.dsn("gateway_query", standby=True),
            "gateway_fallback_dsn": self.dsn("gateway_fallback"),
            "notification_dsn": self.dsn("notification_api"),
            "notification_query_dsn": self.dsn("notification_query", standby=True),
            "notification_fallback_dsn": self.dsn("notification_fallback"),
            "notification_worker_dsn": self.dsn("notification_worker"),
            "relay_dsn": self.dsn("relay"),
            "reconciliation_dsn": self.dsn("reconciliation_api"),
            "reconciliation_query_dsn": self.dsn("reconciliation_query", standby=True),
            "reconciliation_fallback_dsn": self.dsn("reconciliation_fallback"),
            "reconciliation_consumer_dsn": self.dsn("reconciliation_consumer"),
            "reconciliation_worker_dsn": self.dsn("reconciliation_worker"),
        }
        return {
            **{variable(field): dsns[field] for field in POSTGRES_DSN_FIELDS},
            "LASTMILE_REDIS_URL": self.redis_url,
            "LASTMILE_CONTACT_PRIVATE_KEY_FILE": str(self._secrets.contact_private_key_file),
            "LASTMILE_CONTACT_PUBLIC_KEY_FILE": str(self._secrets.contact_public_key_file),
            "LASTMILE_NOTIFICATION_VAULT_FILE": str(self.vault_file),
            "LASTMILE_TOKEN_PUBLIC_KEY_FILE": str(self._secrets.token_public_key_file),
            "LASTMILE_TOKEN_PRIVATE_KEY_FILE": str(self._secrets.token_private_key_file),
            "LASTMILE_GATEWAY_BOOTSTRAP_OPS_KEY_FILE": str(self._secrets.ops_api_key_file),
        }


class RunningStack(_Stack):
    """The whole platform, as `lastmile up` runs it, without the demo's traffic unless it is asked for."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        """As for EmbeddedServers; LASTMILE_DEMO_RATE_PER_MIN is 0 unless given."""
        super().__init__(home, {"LASTMILE_DEMO_RATE_PER_MIN": "0"} | dict(environment or {}))

    @property
    def base_url(self) -> str:
        """The gateway's URL, without a slash at its end."""
        return f"http://{self.settings.host}:{self.settings.gateway_http_port}"

    @property
    def grpc_target(self) -> str:
        """The assignment api's gRPC address."""
        return f"{self.settings.host}:{self.settings.assignment_port}"

    @property
    def reconciliation_target(self) -> str:
        """The reconciliation api's gRPC address."""
        return f"{self.settings.host}:{self.settings.reconciliation_port}"

    @property
    def access_target(self) -> str:
        """The gateway's gRPC address (AccessService)."""
        return f"{self.settings.host}:{self.settings.gateway_grpc_port}"

    @property
    def ops_api_key(self) -> str:
        """The first ops API key."""
        return self._secrets.ops_api_key_file.read_text().strip()
