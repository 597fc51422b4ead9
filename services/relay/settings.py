"""The relay's settings: read from the environment once, validated, and frozen. A missing one stops the start."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import ServerLimits


class PublishLimits(BaseModel):
    """How the log is read, appended and acknowledged."""

    model_config = ConfigDict(frozen=True)

    batch_events_max: int = Field(500, ge=1, le=50_000, description="Events appended in one transaction of Redis")
    hold_back_s: float = Field(
        3.0,
        ge=0,
        description="PostgreSQL may forget an event this long after it was appended: more than the two seconds of "
        "writes that a Redis with appendfsync everysec may lose",
    )
    acknowledge_every_s: float = Field(0.25, gt=0, description="Time between acknowledgements to PostgreSQL")
    redis_timeout_s: float = Field(10.0, gt=0, description="Redis is away when it answers later than this")
    connect_timeout_s: int = Field(5, ge=1, description="PostgreSQL is away when it takes longer to connect")
    standby_poll_s: float = Field(1.0, gt=0, description="Time between a standby's tries to become the leader")
    outage_wait_s: float = Field(0.5, gt=0, description="Wait after a failure of a server, before the next try")


class RetentionLimits(BaseModel):
    """How much is kept: log by PostgreSQL, events by Redis."""

    model_config = ConfigDict(frozen=True)

    watch_every_s: float = Field(5.0, gt=0, description="Time between looks at the slot")
    retained_mb_alarm: int = Field(
        1_024, ge=1, description="Log held back for the relay that raises the alarm; far below max_slot_wal_keep_size"
    )
    trim_every_s: float = Field(10.0, gt=0, description="Time between trims of the streams")
    stream_events_kept: int = Field(
        10_000, ge=1, description="Events of each stream kept though every consumer has read them, for newcomers"
    )


class RelaySettings(BaseSettings):
    """What `python -m services.relay` is told. Nested ones are set as LASTMILE_RELAY_PUBLISH__HOLD_BACK_S."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    relay_port: int = Field(15061, ge=1, le=65535, description="Port of the gRPC server")
    relay_metrics_port: int = Field(15062, ge=1, le=65535, description="Port of the metrics, over HTTP")
    relay_dsn: PostgresDsn = Field(
        description="The PostgreSQL primary, as role relay. Name every server that can become it: "
        "postgresql://relay@a,b/lastmile?target_session_attrs=read-write"
    )
    redis_url: RedisDsn = Field(description="Where the streams are")
    token_public_key_file: Path = Field(description="Ed25519 public key that access tokens are verified with")
    relay_publisher: Literal["relay", "debezium"] = Field(
        "relay", description="Who reads the slot: debezium leaves it to a Debezium Server, and looks after its streams"
    )
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    relay_publish: PublishLimits = Field(PublishLimits(), description="Reading, appending and acknowledging")
    relay_retention: RetentionLimits = Field(RetentionLimits(), description="How much log and how many events are kept")
    relay_server: ServerLimits = Field(ServerLimits(), description="Limits of the gRPC server")
