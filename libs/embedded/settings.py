"""Every setting of the one-machine platform, read from LASTMILE_* variables."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.embedded.errors import SettingsError

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3_600)]

PREFIX = "LASTMILE_"
SERVICES = ("assignment", "notification", "reconciliation")
POSTGRES_DSN_FIELDS = (
    "migration_dsn",
    "assignment_dsn",
    "assignment_query_dsn",
    "assignment_fallback_dsn",
    "matcher_dsn",
    "gateway_dsn",
    "gateway_query_dsn",
    "gateway_fallback_dsn",
    "notification_dsn",
    "notification_query_dsn",
    "notification_fallback_dsn",
    "notification_worker_dsn",
    "relay_dsn",
    "reconciliation_dsn",
    "reconciliation_query_dsn",
    "reconciliation_fallback_dsn",
    "reconciliation_consumer_dsn",
    "reconciliation_worker_dsn",
)


class PlatformSettings(BaseSettings):
    """One machine's platform: where it lives, which ports it takes, how long it waits, which servers it is given."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore")

    home: Path = Field(Path(".lastmile"), description="Where everything lives: data, secrets, logs")
    host: IPv4Address = Field(IPv4Address("127.0.0.1"), description="Loopback address that everything listens on")

    gateway_http_port: Port = Field(8080, description="REST")
    gateway_grpc_port: Port = Field(15052, description="gRPC of the gateway: API keys and access tokens")
    assignment_port: Port = Field(15051, description="gRPC of the assignment api")
    assignment_metrics_port: Port = Field(
        15070, description="Metrics of the first assignment api, over HTTP; each further one takes the next port"
    )
    assignment_queries_port: Port = Field(
        15050, description="gRPC of the assignment api that the gateway's reads go to"
    )
    assignment_queries_metrics_port: Port = Field(15060, description="Metrics of that api, over HTTP")
    assignment_consumer_port: Port = Field(15063, description="Health of the assignment service's consumers")
    assignment_consumer_metrics_port: Port = Field(15064, description="Metrics of those consumers, over HTTP")
    matcher_port: Port = Field(15053, description="Health of the first matcher; each further one takes the next port")
    matcher_metrics_port: Port = Field(15080, description="Metrics of the first matcher; of each further one likewise")
    dispatcher_port: Port = Field(15074, description="Health of the dispatcher, which tells partner networks")
    dispatcher_metrics_port: Port = Field(15075, description="Metrics of the dispatcher, over HTTP")
    notification_port: Port = Field(15065, description="gRPC of the notification api")
    notification_receipts_port: Port = Field(15096, description="Where providers of messages call back, over HTTP")
    notification_consumer_port: Port = Field(15066, description="Health of the notification service's consumers")
    notification_consumer_metrics_port: Port = Field(15067, description="Metrics of those consumers, over HTTP")
    notification_sender_port: Port = Field(15068, description="Health of the sender of messages")
    notification_sender_metrics_port: Port = Field(15069, description="Metrics of that sender, over HTTP")
    notification_alerter_port: Port = Field(15072, description="Health of the alerter, which tells of outages")
    notification_alerter_metrics_port: Port = Field(15073, description="Metrics of the alerter, over HTTP")
    sandbox_network_port: Port = Field(15095, description="API of the demo's partner network")
    relay_port: Port = Field(15061, description="Health of the relay")
    relay_metrics_port: Port = Field(15062, description="Metrics of the relay, over HTTP")
    reconciliation_port: Port = Field(15076, description="gRPC of the reconciliation api")
    reconciliation_metrics_port: Port = Field(15077, description="Metrics of the reconciliation api, over HTTP")
    reconciliation_consumer_port: Port = Field(15078, description="Health of the reconciliation service's consumers")
    reconciliation_consumer_metrics_port: Port = Field(15079, description="Metrics of those consumers, over HTTP")
    reconciliation_worker_port: Port = Field(15056, description="Health of the worker that reconciles statements")
    reconciliation_worker_metrics_port: Port = Field(15057, description="Metrics of that worker, over HTTP")
    postgres_port: Port = Field(15432, description="PostgreSQL primary")
    standby_port: Port = Field(15433, description="PostgreSQL hot standby")
    redis_port: Port = Field(16379, description="Valkey")

    # Servers that are given are not started here. For PostgreSQL it is all of them or none.
    migration_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as the owner of the database")
    assignment_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as assignment_api")
    assignment_query_dsn: SecretStr | None = Field(None, description="PostgreSQL standby, as assignment_query")
    assignment_fallback_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as assignment_fallback")
    matcher_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as assignment_matcher")
    gateway_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as gateway")
    gateway_query_dsn: SecretStr | None = Field(None, description="PostgreSQL standby, as gateway_query")
    gateway_fallback_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as gateway_fallback")
    notification_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as notification_api")
    notification_query_dsn: SecretStr | None = Field(None, description="PostgreSQL standby, as notification_query")
    notification_fallback_dsn: SecretStr | None = Field(
        None, description="PostgreSQL primary, as notification_fallback"
    )
    notification_worker_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as notification_worker")
    relay_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as relay")
    reconciliation_dsn: SecretStr | None = Field(None, description="PostgreSQL primary, as reconciliation_api")
    reconciliation_query_dsn: SecretStr | None = Field(None, description="PostgreSQL standby, as reconciliation_query")
    reconciliation_fallback_dsn: SecretStr | None = Field(
        None, description="PostgreSQL primary, as reconciliation_fallback"
    )
    reconciliation_consumer_dsn: SecretStr | None = Field(
        None, description="PostgreSQL primary, as reconciliation_consumer"
    )
    reconciliation_worker_dsn: SecretStr | None = Field(
        None, description="PostgreSQL primary, as reconciliation_worker"
    )
    redis_url: SecretStr | None = Field(None, description="Redis or Valkey")

    server_data_parent: Path = Field(
        Path("/var/lib"),
        description="As root, where the servers' account cannot reach LASTMILE_HOME: their data goes below this",
    )

    assignment_api_processes: int = Field(1, ge=1, le=32, description="Processes of the assignment api")
    assignment_queries_niceness: int = Field(
        5, ge=0, le=19, description="How far the api for reads stands back when processors are short"
    )
    matcher_processes: int = Field(1, ge=1, le=32, description="Matchers")
    demo_rate_per_min: int = Field(
        12, ge=0, le=60_000, description="Deliveries a minute of synthetic traffic; 0 starts none"
    )
    networks_file: Path | None = Field(
        None, description="The partner networks whose APIs are called; with none given, the demo's traffic brings one"
    )

    postgres_connections_max: int = Field(100, ge=20, le=1_000, description="Connections to each PostgreSQL server")
    postgres_shared_buffers_mb: int = Field(
        128, ge=16, le=65_536, description="Memory that each PostgreSQL server caches pages in"
    )
    postgres_slot_wal_mb_max: int = Field(
        4_096,
        ge=256,
        le=1_048_576,
        description="Log that a standby or a relay that is away may hold back before it is lost to them: a standby is "
        "then built anew, for a relay somebody has to decide",
    )
    postgres_fsync: bool = Field(True, description="Off only where losing the data in a power cut is of no matter")
    redis_memory_mb_max: int = Field(256, ge=16, le=65_536, description="Memory of Valkey")

    services: str = Field(
        ",".join(SERVICES),
        description="Services that run, beside the gateway and the relay; for what is left out the gateway says 503",
    )

    ready_timeout_s: Seconds = Field(120, description="After this, `up` says what is not ready yet")
    service_ready_timeout_s: Seconds = Field(60, description="A service that is not ready by then is started again")
    probe_timeout_s: Seconds = Field(2, description="Longest wait for one answer of a readiness probe")
    service_grace_s: Seconds = Field(15, description="How long a service may take to stop before it is killed")
    server_grace_s: Seconds = Field(30, description="How long a server may take to stop before it is killed")
    command_timeout_s: Seconds = Field(
        600, description="Longest run of a server's own tool, such as a copy of the primary"
    )
    restart_backoff_s_min: Seconds = Field(0.2, description="Wait before the first restart of what died")
    restart_backoff_s_max: Seconds = Field(15, description="Longest wait before a restart")
    stable_run_s: Seconds = Field(
        30, description="A process that ran this long has recovered: its next restart waits the shortest time again"
    )
    standby_rebuild_after_s: Seconds = Field(
        30, description="A standby that is up but receives nothing for this long is built anew"
    )

    log_file_bytes_max: int = Field(10_000_000, ge=10_000, description="A log file is rotated at this size")
    log_files_max: int = Field(3, ge=1, le=100, description="Log files kept for each process")
    log_line_bytes_max: int = Field(16_384, ge=256, description="A longer log line is cut")
    disk_free_mb_min: int = Field(1_024, ge=1, description="Free disk below which doctor warns")

    @field_validator("services")
    @classmethod
    def _known_services(cls, services: str) -> str:
        unknown = {name.strip() for name in services.split(",")} - set(SERVICES)
        if unknown:
            raise ValueError(
                f"there are {', '.join(SERVICES)}; {', '.join(sorted(map(repr, unknown)))} is none of them"
            )
        return services

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: IPv4Address) -> IPv4Address:
        if not host.is_loopback:
            raise ValueError("the embedded servers speak plain text and listen on a loopback address only")
        return host

    @property
    def running_services(self) -> frozenset[str]:
        """The names of the services that run, beside the gateway and the relay."""
        return frozenset(name.strip() for name in self.services.split(","))

    @property
    def home_path(self) -> Path:
        """LASTMILE_HOME, absolute and with its links resolved."""
        return self.home.expanduser().resolve()

    @property
    def plays_network(self) -> bool:
        """Whether a partner network is played here: there is traffic for it, and no network was given."""
        return self.demo_rate_per_min > 0 and self.networks_file is None

    @property
    def demo_networks_file(self) -> Path:
        """Where the services find the network that is played here."""
        return self.home_path / "networks.json"

    @property
    def embeds_postgres(self) -> bool:
        """Whether PostgreSQL is started here: no DSN of it is given.

        Raises SettingsError when some of its DSNs are given and others are not.
        """
        given = [field for field in POSTGRES_DSN_FIELDS if getattr(self, field) is not None]
        missing = [variable(field) for field in POSTGRES_DSN_FIELDS if field not in given]
        if given and missing:
            raise SettingsError(
                f"{', '.join(missing)} missing: {variable(given[0])} is given, so PostgreSQL is yours and every one of "
                "its DSNs must be. Give the missing ones, or none, and the platform starts its own."
            )
        return not given

    @property
    def embeds_redis(self) -> bool:
        """Whether Valkey is started here: LASTMILE_REDIS_URL is not given."""
        return self.redis_url is None

    def server_ports(self) -> dict[str, int]:
        """The ports of the servers that are started here, by the variable that sets them."""
        fields = [*(("postgres_port", "standby_port") if self.embeds_postgres else ())]
        fields += ["redis_port"] if self.embeds_redis else []
        return {variable(field): getattr(self, field) for field in fields}

    def service_ports(self) -> dict[str, int]:
        """The ports of the services, by the variable that sets them."""
        fields = (
            "gateway_http_port",
            "gateway_grpc_port",
            "assignment_port",
            "assignment_queries_port",
            "assignment_queries_metrics_port",
            "assignment_consumer_port",
            "assignment_consumer_metrics_port",
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
            "relay_port",
            "relay_metrics_port",
            "reconciliation_port",
            "reconciliation_metrics_port",
            "reconciliation_consumer_port",
            "reconciliation_consumer_metrics_port",
            "reconciliation_worker_port",
            "reconciliation_worker_metrics_port",
            *(("sandbox_network_port",) if self.plays_network else ()),
        )
        ports = {variable(field): int(getattr(self, field)) for field in fields}
        for index in range(self.matcher_processes):
            for field in ("matcher_port", "matcher_metrics_port"):
                ports[variable(field) + (f" + {index}" if index else "")] = int(getattr(self, field)) + index
        for index in range(self.assignment_api_processes):
            name = variable("assignment_metrics_port") + (f" + {index}" if index else "")
            ports[name] = self.assignment_metrics_port + index
        return ports


def variable(field: str) -> str:
    """The environment variable that sets a field."""
    return PREFIX + field.upper()


def load_settings(**overrides: object) -> PlatformSettings:
    """The settings from the environment, with `overrides` on top.

    Raises SettingsError naming every variable that is wrong, and what is wrong with it.
    """
    try:
        settings = PlatformSettings(**overrides)  # type: ignore[arg-type]  # validated by pydantic, whatever it is
    except ValidationError as error:
        problems = [f"{variable(str(item['loc'][0]))}: {item['msg']}" for item in error.errors()]
        raise SettingsError("; ".join(problems)) from None
    ports = settings.server_ports() | settings.service_ports()
    by_port: dict[int, str] = {}
    for name, port in ports.items():
        if port in by_port:
            raise SettingsError(f"{name} and {by_port[port]} are both {port}: each needs a port of its own")
        by_port[port] = name
    return settings
