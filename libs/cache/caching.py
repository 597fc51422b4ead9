"""The cache of a process, and the connection that it lives on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from libs.cache.limits import CacheLimits
from libs.cache.link import CacheLink
from libs.cache.query_cache import CachedQuery, QueryCache
from libs.postgres.replica import QueryPool


@asynccontextmanager
async def caching(
    redis_url: str, query_pool: QueryPool, queries: Mapping[str, CachedQuery | None], limits: CacheLimits
) -> AsyncIterator[QueryCache]:
    """Yield the cache for what `query_pool` answers; `queries` has every query by its RPC."""
    link = CacheLink(redis_url, limits)
    cache = QueryCache(link, query_pool.clock, queries, limits, lambda: query_pool.is_up)
    async with asyncio.TaskGroup() as group:
        keeping_up = group.create_task(link.run())
        try:
            yield cache
        finally:
            await cache.close()
            keeping_up.cancel()
