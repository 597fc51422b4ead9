"""The api's settings: read from the environment once, validated, and frozen. A missing one stops the start."""

from pathlib import Path

from pydantic import Field, PostgresDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import ServerLimits
from libs.postgres.log_clock import ClockLimits
from libs.postgres.pool import PoolLimits
from libs.postgres.replica import ReplicaLimits
from services.reconciliation.exceptions.limits import DeskLimits
from services.reconciliation.papers.company import Company
from services.reconciliation.papers.limits import PaperLimits
from services.reconciliation.runs.limits import RunLimits
from services.reconciliation.settlements.limits import PayoutLimits, SettlementLimits
from services.reconciliation.statements.limits import IntakeLimits


class ApiSettings(BaseSettings):
    """What `python -m services.reconciliation api` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    reconciliation_port: int = Field(15076, ge=1, le=65535, description="Port of the gRPC server")
    reconciliation_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of the metrics, over HTTP; 0 serves none"
    )
    reconciliation_dsn: PostgresDsn = Field(description="Commands: the PostgreSQL primary, as role reconciliation_api")
    reconciliation_query_dsn: PostgresDsn = Field(description="Queries: the hot standby, as role reconciliation_query")
    reconciliation_fallback_dsn: PostgresDsn = Field(
        description="Queries that no standby can answer: the PostgreSQL primary, as role reconciliation_fallback"
    )
    token_public_key_file: Path = Field(description="Ed25519 public key that access tokens are verified with")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    rate_card_notice_s: int = Field(
        60, ge=1, le=86_400, description="How long before its moment a further version of a rate card must be made"
    )
    reconciliation_primary_pool: PoolLimits = Field(PoolLimits(connections_max=5), description="Pool for commands")
    reconciliation_runs: RunLimits = Field(RunLimits(), description="By what runs are opened")
    reconciliation_desk: DeskLimits = Field(DeskLimits(), description="What one person may decide about discrepancies")
    reconciliation_intake: IntakeLimits = Field(IntakeLimits(), description="Limits of files that are uploaded")
    reconciliation_papers: PaperLimits = Field(PaperLimits(), description="Limits of papers that are rendered")
    reconciliation_company: Company = Field(Company(), description="Who supplies, as JSON: by whom invoices are issued")
    reconciliation_settlements: SettlementLimits = Field(SettlementLimits(), description="When cycles are settled")
    reconciliation_payouts: PayoutLimits = Field(PayoutLimits(), description="How payouts are written and confirmed")
    reconciliation_query_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=5), description="Pool for queries"
    )
    reconciliation_fallback_pool: PoolLimits = Field(
        PoolLimits(connections_min=0, connections_max=2), description="Pool for queries that no standby can answer"
    )
    reconciliation_replica: ReplicaLimits = Field(
        ReplicaLimits(primary_queries_max=2), description="Where queries go, and how long they wait"
    )
    reconciliation_clock: ClockLimits = Field(ClockLimits(), description="How closely the age of answers is known")
    reconciliation_server: ServerLimits = Field(ServerLimits(), description="Limits of the gRPC server")
