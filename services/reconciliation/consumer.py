"""The one place where the process of the reconciliation service's consumers is wired."""

import asyncio
import inspect
from typing import Any

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.grpc_server.server import GrpcServer, ServerLimits
from libs.postgres.pool import PoolLimits, create_pool
from libs.streams.handler import discovered
from libs.streams.limits import ConsumerLimits
from libs.streams.run import run_consumers
from libs.telemetry.metrics import serve_metrics
from services.reconciliation import handlers
from services.reconciliation.handlers.ledger import SCHEMA, Ledger
from services.reconciliation.ledger.waiting import WaitingDeliveries, WaitingLimits


class ConsumerSettings(BaseSettings):
    """What `python -m services.reconciliation consumer` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    reconciliation_consumer_port: int = Field(15078, ge=1, le=65535, description="Port of the health checks")
    reconciliation_consumer_metrics_port: int = Field(
        15079, ge=1, le=65535, description="Port of the metrics, over HTTP"
    )
    reconciliation_consumer_dsn: PostgresDsn = Field(
        description="The PostgreSQL primary, as role reconciliation_consumer"
    )
    redis_url: RedisDsn = Field(description="Where the streams are")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    reconciliation_consumer: ConsumerLimits = Field(ConsumerLimits(), description="Limits of each consumer")
    reconciliation_consumer_pool: PoolLimits = Field(
        PoolLimits(connections_max=6), description="Connections to the primary, for all"
    )
    reconciliation_waiting: WaitingLimits = Field(
        WaitingLimits(), description="How deliveries that cannot be paid yet are looked at again"
    )
    reconciliation_consumer_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")


async def run_handlers(settings: ConsumerSettings, stop: asyncio.Event) -> None:
    """Run every handler until `stop` is set, then drain. A handler is given what its parameters name, see `given`."""
    server = GrpcServer(
        f"{settings.host}:{settings.reconciliation_consumer_port}", (), None, settings.reconciliation_consumer_server
    )
    kinds: list[Any] = list(discovered(handlers).values())
    async with await create_pool(
        str(settings.reconciliation_consumer_dsn), settings.reconciliation_consumer_pool, "reconciliation-consumer"
    ) as primary:
        given = {"primary": primary}
        made = [kind(**{name: given[name] for name in inspect.signature(kind).parameters}) for kind in kinds]
        waiting = WaitingDeliveries(primary, SCHEMA, Ledger.name, settings.reconciliation_waiting)
        with serve_metrics(settings.host, settings.reconciliation_consumer_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                group.create_task(waiting.run(stop))
                await run_consumers(made, str(settings.redis_url), settings.reconciliation_consumer, stop)
