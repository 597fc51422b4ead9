"""Runs the consumers of a service's process."""

import asyncio
from collections.abc import Iterable

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from libs.streams.consumer import Consumer
from libs.streams.handler import Handler
from libs.streams.limits import ConsumerLimits


def connect(redis_url: str, limits: ConsumerLimits) -> redis.Redis:
    """Return a client that tells of every lost reply: one that tried again by itself would hide it."""
    pool = redis.BlockingConnectionPool.from_url(
        redis_url,
        max_connections=limits.connections_max,
        timeout=limits.redis_timeout_s,
        socket_timeout=limits.redis_timeout_s,
        socket_connect_timeout=limits.redis_timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


async def run_consumers(
    handlers: Iterable[Handler], redis_url: str, limits: ConsumerLimits, stop: asyncio.Event
) -> None:
    """Run a consumer for each handler until `stop` is set, then drain them."""
    async with asyncio.TaskGroup() as group:
        for handler in handlers:
            group.create_task(_run(handler, redis_url, limits, stop))


async def _run(handler: Handler, redis_url: str, limits: ConsumerLimits, stop: asyncio.Event) -> None:
    async with connect(redis_url, limits) as client:
        await Consumer(client, handler, limits).run(stop)
