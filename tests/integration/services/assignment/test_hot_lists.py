"""Two apis, hundreds of readers of one list at once: what reaches the standby is one query."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import grpc
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import partner_pb2

from libs.cache.entries import outdate_command
from libs.cache.limits import CacheLimits
from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_position import number_of
from services.assignment.app import serve_api
from services.assignment.cached_queries import partners_tag
from services.assignment.settings import ApiSettings
from tests.assignment_api import AssignmentApi, Caller

READERS_EACH = 200
# The statement that reads a city's partners, as the server counts it.
COUNT = """
SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements
WHERE query LIKE '%FROM assignment.partners WHERE id < $1%city\\_code%'
"""


@asynccontextmanager
async def api(settings: ApiSettings) -> AsyncIterator[grpc.aio.Channel]:
    # However slow the machine is: nobody else takes the turn of the one that makes the answer.
    limits = CacheLimits(redis_timeout_ms=5_000, refresh_ms_max=60_000)
    told = {"assignment_port": free_ports(1)[0], "assignment_cache": limits}
    own = settings.model_copy(update=told)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_api(own, stop))
    async with grpc.aio.insecure_channel(f"{own.host}:{own.assignment_port}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        yield channel
    stop.set()
    await serving


@pytest.fixture
async def standby(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(embedded_servers.dsn(standby=True))
    yield connection
    await connection.close()


async def sources(callers: list[Caller], city: str) -> list[str]:
    """Have everybody read the list at once; return where each answer came from."""

    async def read(caller: Caller) -> str:
        request = partner_pb2.ListPartnersRequest(city_code=city)
        sent = (("authorization", f"Bearer {caller.token}"),)
        call = caller.partners.ListPartners(request, metadata=sent, timeout=60)
        assert len((await call).partners) == 1
        return str(dict(await call.trailing_metadata())["answer-source"])

    return await asyncio.gather(*(read(caller) for caller in callers for _ in range(READERS_EACH)))


async def test_hundreds_of_readers_of_a_list_that_was_outdated_cost_the_standby_one_query(
    assignment_api: AssignmentApi,
    api_settings: ApiSettings,
    redis_client: redis.Redis,
    standby: asyncpg.Connection,
) -> None:
    ops = assignment_api.ops
    city = await ops.city()
    await ops.partner(city)
    # The standby has it before anybody looks.
    await ops.ask(ops.partners.ListPartners, partner_pb2.ListPartnersRequest(city_code=city))
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(api(api_settings)) for _ in range(2)]
        callers = [Caller(channel, ops.token) for channel in channels]
        await known_age(callers, assignment_api)
        before = await standby.fetchval(COUNT)
        cold = await sources(callers, city)
        assert len(cold) == 2 * READERS_EACH
        assert await standby.fetchval(COUNT) == before + 1
        # A change that the standby has replayed already: who reads makes the answer anew, once.
        now = number_of(await standby.fetchval("SELECT pg_last_wal_replay_lsn()::text"))
        entry_before = now + 1
        await redis_client.execute_command(*outdate_command(partners_tag(city), entry_before, 600))
        await ops.merchant()
        warm = await sources(callers, city)
        assert set(warm) <= {"cache", "standby"}
        made = await standby.fetchval(COUNT) - before
        assert 1 <= made <= 3, f"{made} queries for {len(cold) + len(warm)} readers"


async def known_age(callers: list[Caller], made_by: AssignmentApi) -> None:
    """Wait until every api has seen the primary and Redis: until then it keeps nothing."""
    city = await made_by.ops.city()
    request = partner_pb2.ListPartnersRequest(city_code=city)
    for caller in callers:
        async with asyncio.timeout(30):
            while caller.metadata.get("answer-source") != "cache":
                await caller.ask(caller.partners.ListPartners, request)
                await asyncio.sleep(0.05)
