"""The matcher's settings: read from the environment once, validated, and frozen."""

import os

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import ServerLimits
from libs.postgres.pool import PoolLimits
from services.assignment.partners.positions import PositionLimits
from services.assignment.picture.settings import PictureLimits
from services.assignment.retention.keeper import RetentionLimits

# A container's share of the processors is not seen from inside: whoever has more to give says so.
DEFAULT_THREADS_MAX = 8


def default_threads() -> int:
    """Return how many threads the processors that the matcher may use can run at once."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, DEFAULT_THREADS_MAX)


class MatcherSettings(BaseSettings):
    """What `python -m services.assignment matcher` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on for health checks")
    matcher_port: int = Field(15053, ge=1, le=65535, description="Port of the health checks")
    matcher_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role assignment_matcher")
    matcher_metrics_port: int = Field(15080, ge=1, le=65535, description="Port of the metrics, over HTTP")
    redis_url: RedisDsn = Field(description="Where live positions and the events are")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    matcher_lease_ttl_s: float = Field(6.0, gt=0, description="A city goes to another matcher this long after a death")
    matcher_lease_renew_s: float = Field(1.5, gt=0, description="Time between renewals of the leases")
    matcher_tick_ms: int = Field(100, gt=0, description="Shortest time between two looks at what is due in a city")
    matcher_windows_at_once_max: int = Field(4, gt=0, description="Cities whose windows run at once")
    matcher_partners_max: int = Field(20_000, gt=0, description="Partners of one window")
    matcher_pairs_max: int = Field(4_000_000, gt=0, description="Package-partner pairs of one window")
    matcher_solver_threads: int = Field(
        default_factory=default_threads, ge=1, le=256, description="Threads that solve a large window side by side"
    )
    matcher_pickup_service_s: float = Field(60.0, ge=0, description="Dwell of a partner at a pickup")
    matcher_drop_service_s: float = Field(60.0, ge=0, description="Dwell of a partner at a drop")
    matcher_route_stops_max: int = Field(40, gt=0, description="A partner with more stops to come gets no more for now")
    matcher_bundle_parcels_max: int = Field(4, ge=1, description="Parcels of a bundle; 1 bundles nothing")
    matcher_bundle_pressure: float = Field(
        1.0, ge=0, description="Packages are bundled where a window has more of them for each free partner; 0 always"
    )
    matcher_remedies_max: int = Field(20, ge=0, description="Deliveries of a window that remedies are sought for")
    matcher_remedies_s_max: float = Field(
        0.5, gt=0, description="Time for the remedies of a window, beside the next ones"
    )
    matcher_remedies_waiting_max: int = Field(
        4, gt=0, description="Windows that may wait for the search of remedies; it skips what comes while as many wait"
    )
    matcher_expired_max: int = Field(500, gt=0, description="Offers expired in one transaction")
    matcher_retry_s_min: float = Field(1.0, gt=0, description="First wait before an unassigned delivery is tried again")
    matcher_retry_s_max: float = Field(20.0, gt=0, description="Longest wait, after doublings")
    matcher_pay_per_delivery_paise: int = Field(4_000, gt=0, description="What a delivery earns, to spread work by")
    matcher_shift_s_assumed: float = Field(28_800.0, gt=0, description="Shift of a partner who states no slot")
    matcher_picture: PictureLimits = Field(PictureLimits(), description="How the pictures of the cities are kept")
    matcher_failure_wait_s_min: float = Field(1.0, gt=0, description="First wait after a bug in a city's matching")
    matcher_failure_wait_s_max: float = Field(60.0, gt=0, description="Longest wait, after doublings")
    matcher_housekeeping_s: float = Field(3600.0, gt=0, description="Time between housekeepings")
    matcher_retention: RetentionLimits = Field(RetentionLimits(), description="What housekeeping makes and drops")
    matcher_outage_wait_s: float = Field(0.5, gt=0, description="Wait after a failure of a server, before the next try")
    matcher_pool: PoolLimits = Field(
        PoolLimits(connections_max=8, statement_timeout_ms=30_000), description="Connections to the primary"
    )
    matcher_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")
    assignment_positions: PositionLimits = Field(PositionLimits(), description="Limits of the position book")
