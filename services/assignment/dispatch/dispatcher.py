"""The dispatcher's process: tells partner networks what is theirs to know, and keeps what matching knows of them."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import redis.asyncio as redis

from libs.grpc_server.server import GrpcServer
from libs.ids import new_id_text
from libs.postgres.pool import create_pool
from libs.postgres.tenancy import visible
from libs.resilience.board import CircuitBoard
from libs.resilience.dependency import Dependency
from libs.telemetry.metrics import serve_metrics
from services.assignment.deliveries.writer import DeliveryWriter
from services.assignment.dispatch import store
from services.assignment.dispatch.adapters.base import NetworkAdapter, adapters_of
from services.assignment.dispatch.health import (
    PROCESS_PREFIX,
    HealthKeeper,
    NetworkWatch,
    dependency_name,
    updates_name,
)
from services.assignment.dispatch.network import NetworkConfig, load_networks
from services.assignment.dispatch.poller import NetworkPoller
from services.assignment.dispatch.sender import NetworkSender, repeat
from services.assignment.dispatch.settings import DispatcherSettings, DispatchLimits
from services.assignment.dispatch.updates import NetworkUpdates
from services.assignment.offers.codec import moved_event
from services.assignment.visibility import OPERATOR

log = logging.getLogger("dispatcher")


async def run_dispatcher(settings: DispatcherSettings, stop: asyncio.Event) -> None:
    """Wire a dispatcher and run it until `stop` is set."""
    networks = load_networks(settings.networks_file)
    limits, process = settings.dispatcher_limits, f"{PROCESS_PREFIX}{new_id_text()}"
    server = GrpcServer(f"{settings.host}:{settings.dispatcher_port}", (), None, settings.dispatcher_server)
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(
            await create_pool(str(settings.assignment_dsn), settings.dispatcher_pool, "assignment-dispatcher")
        )
        known = await stack.enter_async_context(redis.from_url(str(settings.redis_url)))
        stack.enter_context(serve_metrics(settings.host, settings.dispatcher_metrics_port))
        writer = DeliveryWriter(primary, settings.dispatcher_writer, moved_event)
        updates = NetworkUpdates(primary, writer)
        board = CircuitBoard(str(settings.redis_url), process, settings.dispatcher_circuits)
        health = HealthKeeper(primary, known, process, settings.dispatcher_circuits, limits.health_again_s)
        works: list[Coroutine[Any, Any, None]] = []
        for code, adapter in adapters_of(networks, limits.secrets_reread_s).items():
            await stack.enter_async_context(adapter)
            if not adapter.sends:
                continue
            config = networks[code]
            dependency = Dependency(dependency_name(code), config.limits, adapter.verdict)
            board.add(dependency)
            await health.add(code, dependency)
            works += _works(config, adapter, dependency, primary, updates, health, limits, stop)
            if config.poll_ms is not None:
                polled = Dependency(updates_name(code), config.limits, adapter.verdict)
                board.add(polled)
                poller = NetworkPoller(config, adapter, polled, primary, updates, limits, stop)
                works.append(repeat(stop, config.poll_ms, poller.look, "polling"))
        log.info("dispatcher started", extra={"networks": sorted(networks)})
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(stop))
            writing = group.create_task(writer.run())
            sharing = group.create_task(board.run())
            keeping = group.create_task(repeat(stop, limits.health_look_ms, health.look, "health", health.changed))
            tidying = group.create_task(_forget_old(primary, limits, stop))
            async with asyncio.TaskGroup() as working:
                for work in works:
                    working.create_task(work)
                await stop.wait()
                health.changed.set()
            await asyncio.wait({keeping, tidying})
            sharing.cancel()
            await writer.close()
            await writing


def _works(
    config: NetworkConfig,
    adapter: NetworkAdapter,
    dependency: Dependency,
    primary: asyncpg.Pool,
    updates: NetworkUpdates,
    health: HealthKeeper,
    limits: DispatchLimits,
    stop: asyncio.Event,
) -> list[Coroutine[Any, Any, None]]:
    sender = NetworkSender(config.code, adapter, dependency, primary, updates, limits)
    watch = NetworkWatch(config.code, adapter, dependency, primary, limits, health)
    return [sender.run(stop), repeat(stop, config.health_ms, watch.look, "watch", watch.changed)]


async def _forget_old(primary: asyncpg.Pool, limits: DispatchLimits, stop: asyncio.Event) -> None:
    async def forget() -> None:
        before = datetime.now(UTC) - timedelta(days=limits.kept_days)
        async with primary.acquire() as connection, visible(connection, OPERATOR):
            await store.forget(connection, before, limits.forgotten_at_once_max)

    await repeat(stop, round(limits.forget_s * 1000), forget, "forgetting")
