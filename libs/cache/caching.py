"""The cache of a process, and the connection that it lives on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from libs.cache.limits import CacheLimits, LinkLimits
from libs.cache.link import CacheLink
from libs.cache.query_cache import CachedQuery, QueryCache
from libs.postgres.replica import QueryPool


@asynccontextmanager
async def linked(redis_url: str, limits: LinkLimits) -> AsyncIterator[CacheLink]:
    """Yield a connection that is kept up."""
    link = CacheLink(redis_url, limits)
    async with asyncio.TaskGroup() as group:
        keeping_up = group.create_task(link.run())
        try:
            yield link
        finally:
            keeping_up.cancel()


@asynccontextmanager
async def caching(
    redis_url: str, query_pool: QueryPool, queries: Mapping[str, CachedQuery | None], limits: CacheLimits
) -> AsyncIterator[QueryCache]:
    """Yield the cache for what `query_pool` answers; `queries` has every query by its RPC."""
    async with linked(redis_url, limits) as link:
        cache = QueryCache(link, query_pool.clock, queries, limits, lambda: query_pool.is_up)
        try:
            yield cache
        finally:
            await cache.close()
