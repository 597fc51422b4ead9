"""The one place where the alerter's process is wired."""

import asyncio

import redis.asyncio as redis
from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import GrpcServer, ServerLimits
from libs.postgres.pool import PoolLimits, create_pool
from libs.resilience.board import BoardLimits
from libs.telemetry.metrics import serve_metrics
from services.notification.alerts.alerter import Alerter, AlerterLimits
from services.notification.alerts.observing.observer import Observer, ObserverLimits
from services.notification.alerts.rules import RuleLimits
from services.notification.alerts.signals import SignalLimits
from services.notification.routes import Routes, default_routes


class AlerterSettings(BaseSettings):
    """What `python -m services.notification alerter` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    notification_alerter_port: int = Field(15072, ge=1, le=65535, description="Port of the health checks")
    notification_alerter_metrics_port: int = Field(
        15073, ge=0, le=65535, description="Port of the metrics, over HTTP; 0 serves none"
    )
    notification_worker_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role notification_worker")
    redis_url: RedisDsn = Field(description="Where processes share what they know of what they call")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    notification_routes: Routes = Field(
        default_factory=default_routes,
        description="The providers of each channel, in the order in which they are asked",
    )
    notification_alerter: AlerterLimits = Field(AlerterLimits(), description="How promptly another takes over")
    notification_alert_rules: RuleLimits = Field(RuleLimits(), description="How patiently alerts begin and end")
    notification_alert_signals: SignalLimits = Field(SignalLimits(), description="When something counts as ill")
    notification_alert_looks: ObserverLimits = Field(ObserverLimits(), description="How often one looks")
    notification_circuits: BoardLimits = Field(BoardLimits(), description="How promptly circuits are shared")
    notification_alerter_pool: PoolLimits = Field(
        PoolLimits(connections_max=2), description="Connections to the primary"
    )
    notification_alerter_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")


async def run_alerter(settings: AlerterSettings, stop: asyncio.Event) -> None:
    """Raise alerts, or stand by, until `stop` is set."""
    server = GrpcServer(
        f"{settings.host}:{settings.notification_alerter_port}", (), None, settings.notification_alerter_server
    )
    async with (
        await create_pool(
            str(settings.notification_worker_dsn), settings.notification_alerter_pool, "notification-alerter"
        ) as primary,
        redis.from_url(str(settings.redis_url)) as client,
    ):
        observer = Observer(
            client,
            settings.notification_routes,
            settings.notification_alert_looks,
            settings.notification_alert_signals,
            settings.notification_circuits,
        )
        alerter = Alerter(
            primary,
            observer,
            settings.notification_routes,
            settings.notification_alert_rules,
            settings.notification_alerter,
        )
        with serve_metrics(settings.host, settings.notification_alerter_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                group.create_task(alerter.run(stop))
