"""The one place where the process of the notification service's consumers is wired."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import GrpcServer, ServerLimits
from libs.postgres.pool import PoolLimits, create_pool
from libs.privacy.sealed_mail import Opener
from libs.privacy.vault import Vault
from libs.streams.handler import discovered
from libs.streams.limits import ConsumerLimits
from libs.streams.run import run_consumers
from libs.telemetry.metrics import serve_metrics
from services.notification import handlers
from services.notification.planning.limits import PlanLimits
from services.notification.planning.planner import Planner


class ConsumerSettings(BaseSettings):
    """What `python -m services.notification consumer` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    notification_consumer_port: int = Field(15066, ge=1, le=65535, description="Port of the health checks")
    notification_consumer_metrics_port: int = Field(
        15067, ge=0, le=65535, description="Port of the metrics, over HTTP; 0 serves none"
    )
    notification_worker_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role notification_worker")
    redis_url: RedisDsn = Field(description="Where the streams are")
    contact_private_key_file: Path = Field(description="X25519 private key that opens customers' contacts")
    notification_vault_file: Path = Field(description="The keys that personal data is kept with")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    notification_consumer: ConsumerLimits = Field(ConsumerLimits(), description="Limits of each consumer")
    notification_consumer_pool: PoolLimits = Field(
        PoolLimits(connections_max=5), description="Connections to the primary, for all"
    )
    notification_plan: PlanLimits = Field(PlanLimits(), description="What holds for whoever has said nothing else")
    notification_consumer_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")


async def run_handlers(settings: ConsumerSettings, stop: asyncio.Event) -> None:
    """Run every handler until `stop` is set, then drain. A handler is given what its parameters name."""
    server = GrpcServer(
        f"{settings.host}:{settings.notification_consumer_port}", (), None, settings.notification_consumer_server
    )
    kinds: list[Any] = list(discovered(handlers).values())
    planner = Planner(Vault.read(settings.notification_vault_file), settings.notification_plan)
    opener = Opener(settings.contact_private_key_file)
    async with await create_pool(
        str(settings.notification_worker_dsn), settings.notification_consumer_pool, "notification-consumer"
    ) as primary:
        given = {"primary": primary, "planner": planner, "opener": opener}
        with serve_metrics(settings.host, settings.notification_consumer_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                made = [kind(**{name: given[name] for name in inspect.signature(kind).parameters}) for kind in kinds]
                await run_consumers(made, str(settings.redis_url), settings.notification_consumer, stop)
