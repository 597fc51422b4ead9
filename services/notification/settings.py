"""The api's settings: read from the environment once, validated, and frozen. A missing one stops the start."""

from pathlib import Path

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import ServerLimits
from libs.postgres.log_clock import ClockLimits
from libs.postgres.pool import PoolLimits
from libs.postgres.replica import ReplicaLimits
from services.notification.planning.limits import PlanLimits
from services.notification.receipts.endpoint import ReceiptLimits
from services.notification.routes import Routes, default_routes
from services.notification.templates.rendering import RenderLimits


class ApiSettings(BaseSettings):
    """What `python -m services.notification api` is told; each provider in use is told more, under its own name."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    notification_port: int = Field(15065, ge=1, le=65535, description="Port of the gRPC server")
    notification_receipts_port: int = Field(15096, ge=1, le=65535, description="Port where providers call back")
    notification_metrics_port: int = Field(0, ge=0, le=65535, description="Port of the metrics, over HTTP; 0 for none")
    notification_dsn: PostgresDsn = Field(description="Commands: the PostgreSQL primary, as role notification_api")
    notification_query_dsn: PostgresDsn = Field(description="Queries: the hot standby, as role notification_query")
    notification_fallback_dsn: PostgresDsn = Field(
        description="Queries that no standby can answer: the PostgreSQL primary, as role notification_fallback"
    )
    redis_url: RedisDsn = Field(description="Where senders share what they know of providers")
    token_public_key_file: Path = Field(description="Ed25519 public key that access tokens are verified with")
    notification_vault_file: Path = Field(description="The keys that personal data is kept with")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    notification_routes: Routes = Field(
        default_factory=default_routes, description="The providers of each channel, in the order of asking"
    )
    notification_pool: PoolLimits = Field(PoolLimits(connections_max=4), description="Pool for commands")
    notification_query_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=4), description="Pool for queries"
    )
    notification_fallback_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=2), description="Pool for queries that no standby can answer"
    )
    notification_replica: ReplicaLimits = Field(
        ReplicaLimits(primary_queries_max=2), description="Where queries go, and how long they wait"
    )
    notification_clock: ClockLimits = Field(ClockLimits(), description="How closely the age of answers is known")
    notification_server: ServerLimits = Field(ServerLimits(), description="Limits of the gRPC server")
    notification_receipts: ReceiptLimits = Field(ReceiptLimits(), description="What a callback may hold")
    notification_plan: PlanLimits = Field(PlanLimits(), description="What holds for whoever has said nothing else")
    notification_render: RenderLimits = Field(RenderLimits(), description="How much a message may say")
