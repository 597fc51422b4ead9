"""The api's settings: read from the environment once, validated, and frozen. A missing one stops the start."""

from pathlib import Path

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.cache.limits import CacheLimits
from libs.grpc_server.server import ServerLimits
from libs.postgres.log_clock import ClockLimits
from libs.postgres.pool import PoolLimits
from libs.postgres.replica import ReplicaLimits
from services.assignment.cached_queries import CacheWindows
from services.assignment.deliveries.writer import WriterLimits
from services.assignment.dispatch.servicer import WebhookLimits
from services.assignment.partners.positions import PositionLimits


class ApiSettings(BaseSettings):
    """What `python -m services.assignment api` is told. Nested ones are set as LASTMILE_ASSIGNMENT__WRITER__WRITERS."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    assignment_port: int = Field(15051, ge=1, le=65535, description="Port of the gRPC server")
    assignment_dsn: PostgresDsn = Field(description="Commands: the PostgreSQL primary, as role assignment_api")
    assignment_query_dsn: PostgresDsn = Field(description="Queries: the hot standby, as role assignment_query")
    assignment_fallback_dsn: PostgresDsn = Field(
        description="Queries that no standby can answer: the PostgreSQL primary, as role assignment_fallback"
    )
    assignment_metrics_port: int = Field(0, ge=0, le=65535, description="Port of the metrics, over HTTP; 0 serves none")
    redis_url: RedisDsn = Field(description="Where live positions and answers of queries are kept")
    token_public_key_file: Path = Field(description="Ed25519 public key that access tokens are verified with")
    contact_public_key_file: Path = Field(
        description="X25519 public key of the notification service, which customers' contacts are sealed for"
    )
    networks_file: Path | None = Field(None, description="The partner networks whose webhooks are taken, as JSON")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    assignment_niceness: int = Field(
        0, ge=0, le=19, description="How far the process stands back when processors are short; for one that only reads"
    )
    city_refresh_s: float = Field(5.0, gt=0, description="Cities and their policies are read again after this")
    match_pairs_max: int = Field(4_000_000, gt=0, description="Package-partner pairs of one Match call")
    matches_at_once_max: int = Field(2, gt=0, description="Match calls solved at once; others wait")
    match_wait_s: float = Field(5.0, gt=0, description="Longest wait of a Match call for its turn")
    match_remedies_s_max: float = Field(1.0, gt=0, description="Time of a Match call for remedies, if it asks for any")
    assignment_primary_pool: PoolLimits = Field(PoolLimits(connections_max=12), description="Pool for commands")
    assignment_query_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=12), description="Pool for queries"
    )
    assignment_fallback_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=4),
        description="Pool for queries that no standby can answer",
    )
    assignment_replica: ReplicaLimits = Field(ReplicaLimits(), description="Where queries go, and how long they wait")
    assignment_clock: ClockLimits = Field(ClockLimits(), description="How closely the age of answers is known")
    assignment_cache: CacheLimits = Field(CacheLimits(), description="Limits of the cache of queries")
    assignment_cache_windows: CacheWindows = Field(CacheWindows(), description="How old cached answers may become")
    assignment_server: ServerLimits = Field(ServerLimits(), description="Limits of the gRPC server")
    assignment_writer: WriterLimits = Field(WriterLimits(), description="Limits of the micro-batched writes")
    assignment_webhooks: WebhookLimits = Field(WebhookLimits(), description="Limits of partner networks' webhooks")
    assignment_positions: PositionLimits = Field(PositionLimits(), description="Limits of the position book")
