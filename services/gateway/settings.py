"""The gateway's settings: read from the environment once, validated, and frozen. A missing one stops the start."""

from pathlib import Path

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.cache.limits import LinkLimits
from libs.grpc_server.server import ServerLimits
from libs.postgres.log_clock import ClockLimits
from libs.postgres.pool import PoolLimits
from libs.postgres.replica import ReplicaLimits
from services.gateway.auth.credentials import CredentialLimits
from services.gateway.auth.rate_limits import RateLimits
from services.gateway.downloads.endpoint import DownloadLimits
from services.gateway.live.limits import LiveLimits
from services.gateway.papers.endpoint import GatewayPaperLimits
from services.gateway.rest.connections import ConnectionLimits
from services.gateway.rest.limits import RestLimits
from services.gateway.uploads.endpoint import UploadLimits
from services.gateway.webhooks.endpoint import WebhookLimits


class GatewaySettings(BaseSettings):
    """What `python -m services.gateway` is told. Nested ones are set as LASTMILE_GATEWAY_REST__BODY_BYTES_MAX."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    gateway_http_port: int = Field(8080, ge=1, le=65535, description="Port of the REST server")
    gateway_grpc_port: int = Field(15052, ge=1, le=65535, description="Port of AccessService")
    assignment_target: str = Field("127.0.0.1:15051", description="host:port of the assignment api")
    assignment_queries_target: str = Field(
        "", description="host:port of the assignment api that reads are sent to; empty: the one for commands"
    )
    notification_target: str = Field("127.0.0.1:15065", description="host:port of the notification api")
    relay_target: str = Field("127.0.0.1:15061", description="host:port of the relay")
    reconciliation_target: str = Field("127.0.0.1:15076", description="host:port of the reconciliation api")
    gateway_dsn: PostgresDsn = Field(description="Commands: the PostgreSQL primary, as role gateway")
    gateway_query_dsn: PostgresDsn = Field(description="Queries: the hot standby, as role gateway_query")
    gateway_fallback_dsn: PostgresDsn = Field(
        description="Queries that no standby can answer: the PostgreSQL primary, as role gateway_fallback"
    )
    redis_url: RedisDsn = Field(description="Where rate limits are counted, and the event streams are")
    token_private_key_file: Path = Field(description="Ed25519 private key that access tokens are signed with")
    token_public_key_file: Path = Field(description="Ed25519 public key that access tokens are verified with")
    gateway_bootstrap_ops_key_file: Path | None = Field(None, description="Holds an ops API key to start with")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    gateway_keep_alive_s: int = Field(30, gt=0, description="An idle HTTP connection is closed after this")
    gateway_drain_s: int = Field(10, gt=0, description="How long running requests may take to end after a stop")
    gateway_health_timeout_s: float = Field(1.5, gt=0, description="What a readiness check waits for each server")
    gateway_pool: PoolLimits = Field(PoolLimits(connections_max=4), description="Pool for commands")
    gateway_query_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=5), description="Pool for queries"
    )
    gateway_fallback_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=2), description="Pool for queries that no standby can answer"
    )
    gateway_replica: ReplicaLimits = Field(
        ReplicaLimits(primary_queries_max=2), description="Where queries go, and how long they wait"
    )
    gateway_clock: ClockLimits = Field(ClockLimits(), description="How closely the age of answers is known")
    gateway_server: ServerLimits = Field(ServerLimits(), description="Limits of the gRPC server")
    gateway_rest: RestLimits = Field(RestLimits(), description="Limits of the REST side")
    gateway_cache: LinkLimits = Field(
        LinkLimits(), description="The connection over which is looked up whether remembered answers are still good"
    )
    gateway_connection: ConnectionLimits = Field(ConnectionLimits(), description="Limits of HTTP connections")
    gateway_rates: RateLimits = Field(RateLimits(), description="Limits of callers")
    gateway_live: LiveLimits = Field(LiveLimits(), description="Limits of live events")
    gateway_papers: GatewayPaperLimits = Field(GatewayPaperLimits(), description="Limits of papers that are rendered")
    gateway_uploads: UploadLimits = Field(UploadLimits(), description="Limits of statements that are uploaded")
    gateway_downloads: DownloadLimits = Field(DownloadLimits(), description="Limits of files that are downloaded")
    gateway_webhooks: WebhookLimits = Field(WebhookLimits(), description="Limits of webhooks that come in")
    gateway_credentials: CredentialLimits = Field(CredentialLimits(), description="What is remembered of credentials")
