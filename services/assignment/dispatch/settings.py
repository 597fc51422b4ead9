"""The dispatcher's settings: read from the environment once, validated, and frozen. A missing one stops the start."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import ServerLimits
from libs.postgres.pool import PoolLimits
from libs.resilience.board import BoardLimits
from services.assignment.deliveries.writer import WriterLimits


class DispatchLimits(BaseModel):
    """How promptly networks are told, and for how long it is tried."""

    model_config = ConfigDict(frozen=True)

    look_ms: int = Field(200, gt=0, description="Time between looks for what is due, while nothing is")
    lease_slack_s: float = Field(
        10.0, gt=0, description="What is being told is leased for the longest call of its network, and this"
    )
    retry_ms_min: int = Field(500, gt=0, description="Wait before what failed is tried again; it doubles each time")
    retry_ms_max: int = Field(60_000, gt=0, description="Longest such wait")
    give_up_s: float = Field(24 * 3_600.0, gt=0, description="What could not be told by then is not told any more")
    withdrawn_at_once_max: int = Field(
        200, gt=0, description="Unanswered offers of a network that is down, taken back in one transaction"
    )
    pages_at_once_max: int = Field(
        20, gt=0, description="Pages of a network's updates taken in before it is left alone for its poll_ms"
    )
    health_look_ms: int = Field(250, gt=0, description="Time between looks at the circuits of all dispatchers")
    health_again_s: float = Field(
        5.0, gt=0, description="A network's health is written again after this, changed or not"
    )
    outage_wait_ms: int = Field(1_000, gt=0, description="Wait after PostgreSQL has not answered")
    secrets_reread_s: float = Field(30.0, gt=0, description="A secret is read again after this")
    kept_days: int = Field(30, gt=0, description="What networks were told is remembered for this long")
    forget_s: float = Field(300.0, gt=0, description="Time between forgetting what is older")
    forgotten_at_once_max: int = Field(1_000, gt=0, description="Rows forgotten in one statement")


class DispatcherSettings(BaseSettings):
    """What `python -m services.assignment dispatcher` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    dispatcher_port: int = Field(15074, ge=1, le=65535, description="Port of the health checks")
    dispatcher_metrics_port: int = Field(15075, ge=1, le=65535, description="Port of the metrics, over HTTP")
    assignment_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role assignment_api")
    redis_url: RedisDsn = Field(description="Where circuits are shared")
    networks_file: Path | None = Field(None, description="The partner networks whose APIs are called, as JSON")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    dispatcher_limits: DispatchLimits = Field(DispatchLimits(), description="How networks are told")
    dispatcher_circuits: BoardLimits = Field(BoardLimits(), description="How circuits are shared")
    dispatcher_pool: PoolLimits = Field(PoolLimits(), description="Connections to the primary")
    dispatcher_writer: WriterLimits = Field(WriterLimits(), description="Limits of the micro-batched moves")
    dispatcher_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")
