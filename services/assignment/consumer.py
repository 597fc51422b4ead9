"""The one place where the process of the assignment service's consumers is wired."""

import asyncio
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PostgresDsn, RedisDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.cache.limits import CacheLimits
from libs.cache.link import CacheLink
from libs.grpc_server.server import GrpcServer, ServerLimits
from libs.postgres.pool import PoolLimits, create_pool
from libs.streams.handler import discovered
from libs.streams.limits import ConsumerLimits
from libs.streams.run import run_consumers
from libs.telemetry.metrics import serve_metrics
from services.assignment import handlers
from services.assignment.cached_queries import CacheWindows
from services.assignment.dispatch.adapters.base import dispatched
from services.assignment.dispatch.network import load_networks


class ConsumerSettings(BaseSettings):
    """What `python -m services.assignment consumer` is told."""

    model_config = SettingsConfigDict(
        env_prefix="LASTMILE_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    assignment_consumer_port: int = Field(15063, ge=1, le=65535, description="Port of the health checks")
    assignment_consumer_metrics_port: int = Field(15064, ge=1, le=65535, description="Port of the metrics, over HTTP")
    assignment_dsn: PostgresDsn = Field(description="The PostgreSQL primary, as role assignment_api")
    redis_url: RedisDsn = Field(description="Where the streams are")
    networks_file: Path | None = Field(None, description="The partner networks whose APIs are called, as JSON")
    log_level: str = Field("INFO", description="Least level of the log lines that are written")
    assignment_consumer: ConsumerLimits = Field(ConsumerLimits(), description="Limits of each consumer")
    assignment_consumer_pool: PoolLimits = Field(PoolLimits(), description="Connections to the primary, for all")
    assignment_cache: CacheLimits = Field(CacheLimits(), description="Limits of the cache of queries")
    assignment_cache_windows: CacheWindows = Field(CacheWindows(), description="How old cached answers may become")
    assignment_consumer_server: ServerLimits = Field(ServerLimits(), description="Limits of the health server")


async def run_handlers(settings: ConsumerSettings, stop: asyncio.Event) -> None:
    """Run every handler until `stop` is set, then drain. A handler is given what its parameters name, see `given`."""
    server = GrpcServer(
        f"{settings.host}:{settings.assignment_consumer_port}", (), None, settings.assignment_consumer_server
    )
    kinds: list[Any] = list(discovered(handlers).values())
    cache_link = CacheLink(str(settings.redis_url), settings.assignment_cache)
    async with await create_pool(
        str(settings.assignment_dsn), settings.assignment_consumer_pool, "assignment-consumer"
    ) as primary:
        with serve_metrics(settings.host, settings.assignment_consumer_metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                given = {
                    "primary": primary,
                    "cache_link": cache_link,
                    "cache_limits": settings.assignment_cache,
                    "cache_windows": settings.assignment_cache_windows,
                    "dispatched_networks": dispatched(load_networks(settings.networks_file)),
                }
                keeping_up = group.create_task(cache_link.run())
                made = [_made(kind, given) for kind in kinds]
                await run_consumers(made, str(settings.redis_url), settings.assignment_consumer, stop)
                # Without a handler there is nothing to run, and still something to stop.
                await stop.wait()
                keeping_up.cancel()


def _made(kind: Any, given: Mapping[str, object]) -> Any:
    """Make a handler of what its parameters name."""
    return kind(**{name: given[name] for name in inspect.signature(kind).parameters})
