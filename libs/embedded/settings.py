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
POSTGRES_DSN_FIELDS = (
    "migration_dsn",
    "assignment_dsn",
    "assignment_query_dsn",
    "matcher_dsn",
    "gateway_dsn",
    "gateway_query_dsn",
)


class PlatformSettings(BaseSettings):
    """One machine's platform: where it lives, which ports it takes, how long it waits, which servers it is given."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore")

    home: Path = Path(".lastmile")
    host: IPv4Address = IPv4Address("127.0.0.1")

    gateway_http_port: Port = 8080
    gateway_grpc_port: Port = 15052
    assignment_port: Port = 15051
    matcher_port: Port = 15053
    postgres_port: Port = 15432
    standby_port: Port = 15433
    redis_port: Port = 16379

    # Servers that are given are not started here. For PostgreSQL it is all of them or none.
    migration_dsn: SecretStr | None = None
    assignment_dsn: SecretStr | None = None
    assignment_query_dsn: SecretStr | None = None
    matcher_dsn: SecretStr | None = None
    gateway_dsn: SecretStr | None = None
    gateway_query_dsn: SecretStr | None = None
    redis_url: SecretStr | None = None

    # As root, where the servers' own account cannot reach LASTMILE_HOME, their data goes below this directory.
    server_data_parent: Path = Path("/var/lib")

    assignment_api_processes: int = Field(default=1, ge=1, le=32)
    matcher_processes: int = Field(default=1, ge=1, le=32)
    # Deliveries a minute of synthetic traffic; 0 starts none.
    demo_rate_per_min: int = Field(default=12, ge=0, le=60_000)

    postgres_connections_max: int = Field(default=100, ge=20, le=1_000)
    postgres_shared_buffers_mb: int = Field(default=128, ge=16, le=65_536)
    # How much write-ahead log a standby that is away may hold back before it has to be built anew.
    postgres_slot_wal_mb_max: int = Field(default=4_096, ge=256, le=1_048_576)
    # Off only where losing the data in a power cut is of no matter.
    postgres_fsync: bool = True
    redis_memory_mb_max: int = Field(default=256, ge=16, le=65_536)

    ready_timeout_s: Seconds = 120
    service_ready_timeout_s: Seconds = 60
    probe_timeout_s: Seconds = 2
    service_grace_s: Seconds = 15
    server_grace_s: Seconds = 30
    command_timeout_s: Seconds = 600
    restart_backoff_s_min: Seconds = 0.2
    restart_backoff_s_max: Seconds = 15
    # A process that ran this long has recovered: its next restart waits the shortest time again.
    stable_run_s: Seconds = 30
    # A standby that is up but receives nothing for this long is built anew.
    standby_rebuild_after_s: Seconds = 30

    log_file_bytes_max: int = Field(default=10_000_000, ge=10_000)
    log_files_max: int = Field(default=3, ge=1, le=100)
    log_line_bytes_max: int = Field(default=16_384, ge=256)
    disk_free_mb_min: int = Field(default=1_024, ge=1)

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: IPv4Address) -> IPv4Address:
        if not host.is_loopback:
            raise ValueError("the embedded servers speak plain text and listen on a loopback address only")
        return host

    @property
    def home_path(self) -> Path:
        """LASTMILE_HOME, absolute and with its links resolved."""
        return self.home.expanduser().resolve()

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
        fields = ("gateway_http_port", "gateway_grpc_port", "assignment_port")
        ports = {variable(field): int(getattr(self, field)) for field in fields}
        for index in range(self.matcher_processes):
            ports[variable("matcher_port") + (f" + {index}" if index else "")] = self.matcher_port + index
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
