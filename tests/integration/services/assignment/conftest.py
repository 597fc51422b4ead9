"""The service's own things on the real servers, and calls to its servicers without a gRPC server."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import city_pb2

from libs.cache.limits import CacheLimits
from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.call import Call, answering
from libs.grpc_server.identity import Principal, Role, TokenSigner
from libs.ids import new_id
from libs.postgres.log_clock import ClockLimits
from libs.postgres.pool import PoolLimits, create_pool
from libs.postgres.querying import QueryServers, querying
from libs.postgres.replica import ReplicaLimits
from services.assignment.app import serve_api
from services.assignment.cities.directory import CityDirectory
from services.assignment.cities.servicer import CityServicer
from services.assignment.database import Database
from services.assignment.partners.position_intake import PositionIntake
from services.assignment.partners.positions import PositionBook, PositionLimits
from services.assignment.partners.servicer import PartnerServicer
from services.assignment.picture.keeper import CityKeeper, CompanyKeeper
from services.assignment.picture.settings import PictureLimits
from services.assignment.picture.source import Source
from services.assignment.settings import ApiSettings
from services.assignment.windows.commit import Lease
from services.assignment.windows.matcher import run_matcher
from services.assignment.windows.settings import MatcherSettings
from tests.assignment_api import AssignmentApi
from tests.relays import RelayProcess, relaying, until

Answer = Callable[..., Awaitable[Any]]
OPS = Principal("test", Role.OPS)


@pytest.fixture(scope="session")
async def database(embedded_servers: EmbeddedServers) -> AsyncIterator[Database]:
    """Commands on the primary, queries on the standby."""
    limits = PoolLimits(connections_max=10)
    query_servers = QueryServers(
        embedded_servers.dsn("assignment_query", standby=True),
        embedded_servers.dsn("assignment_fallback"),
        embedded_servers.dsn("assignment_api"),
    )
    async with (
        await create_pool(embedded_servers.dsn("assignment_api"), limits, "test") as primary,
        querying(
            query_servers,
            "test",
            limits,
            PoolLimits(connections_min=0, connections_max=4),
            ClockLimits(),
            ReplicaLimits(replay_wait_ms_max=2_000),
        ) as queries,
    ):
        yield Database(primary, queries)


@pytest.fixture
def directory(database: Database) -> CityDirectory:
    return CityDirectory(database, 5.0)


@pytest.fixture(scope="session")
async def redis_client(embedded_servers: EmbeddedServers) -> AsyncIterator[redis.Redis]:
    async with redis.from_url(embedded_servers.redis_url) as client:
        yield client


@pytest.fixture
async def book(redis_client: redis.Redis) -> AsyncIterator[PositionBook]:
    """A running position book."""
    made = PositionBook(redis_client, PositionLimits())
    running = asyncio.create_task(made.run())
    yield made
    await made.close()
    await running


@pytest.fixture
def partners(database: Database, directory: CityDirectory, book: PositionBook) -> PartnerServicer:
    return PartnerServicer(database, directory, PositionIntake(database, directory, book))


@pytest.fixture
def answer() -> Answer:
    """Call a method as the interceptor would; the response metadata goes into `sent`."""

    async def ask(
        method: Answer,
        request: Any,
        *,
        principal: Principal = OPS,
        sent: dict[str, str] | None = None,
        key: str | None = None,
        token: str | None = None,
    ) -> Any:
        call = Call(f"/test/{method.__name__}", "test", principal, key, token)
        with answering(call):
            response = await method(request, None)
        if sent is not None:
            sent.update(call.response_metadata)
        return response

    return ask


def city_proto(code: str | None = None, **changes: Any) -> city_pb2.City:
    """A city round Bengaluru's center with a code of its own."""
    proto = city_pb2.City(code=code or f"T{uuid.uuid4().hex[:10].upper()}", name="Test", time_zone="Asia/Kolkata")
    proto.center.latitude_deg, proto.center.longitude_deg, proto.radius_m = 12.97, 77.59, 30_000
    for name, value in changes.items():
        setattr(proto, name, value)
    return proto


@pytest.fixture
async def city_code(database: Database, directory: CityDirectory, answer: Answer) -> str:
    """A city of the test's own."""
    request = city_pb2.CreateCityRequest(city=city_proto())
    return str((await answer(CityServicer(database, directory).CreateCity, request)).city.code)


async def lease(servers: EmbeddedServers, city_code: str) -> tuple[Lease, Lease]:
    """Give the city to a holder for an hour; return its lease, and the one that it took over."""
    holder = new_id()
    connection = await asyncpg.connect(servers.dsn())
    try:
        await connection.execute(
            "INSERT INTO assignment.city_leases VALUES ($1, $2, 2, now() + interval '1 hour')"
            " ON CONFLICT (city_code) DO UPDATE SET holder = $2, fence = 2, expires_at = excluded.expires_at",
            city_code,
            holder,
        )
    finally:
        await connection.close()
    return Lease(city_code, holder, 2), Lease(city_code, new_id(), 1)


@pytest.fixture(scope="session")
async def api_settings(embedded_servers: EmbeddedServers) -> ApiSettings:
    servers, known = embedded_servers, embedded_servers.service_environment
    return ApiSettings(
        assignment_port=free_ports(1)[0],
        assignment_dsn=servers.dsn("assignment_api"),
        assignment_query_dsn=servers.dsn("assignment_query", standby=True),
        assignment_fallback_dsn=servers.dsn("assignment_fallback"),
        # No relay runs here: nobody would outdate what is kept.
        assignment_cache=CacheLimits(enabled=False),
        redis_url=servers.redis_url,
        token_public_key_file=Path(known["LASTMILE_TOKEN_PUBLIC_KEY_FILE"]),
        contact_public_key_file=Path(known["LASTMILE_CONTACT_PUBLIC_KEY_FILE"]),
        city_refresh_s=0.2,
        match_remedies_s_max=5.0,
    )


@pytest.fixture(scope="session")
async def assignment_api(api_settings: ApiSettings, embedded_servers: EmbeddedServers) -> AsyncIterator[AssignmentApi]:
    """The api as it runs in production, in this process, and a channel to it."""
    settings, known = api_settings, embedded_servers.service_environment
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_api(settings, stop))
    signer = TokenSigner(Path(known["LASTMILE_TOKEN_PRIVATE_KEY_FILE"]), timedelta(hours=1))
    async with grpc.aio.insecure_channel(f"{settings.host}:{settings.assignment_port}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        yield AssignmentApi(channel, signer)
    stop.set()
    await serving


@pytest.fixture(scope="session")
def relay(embedded_servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """Publishes what is committed, as in production."""
    with relaying(embedded_servers, tmp_path_factory.mktemp("relay") / "relay.log") as running:
        until(running.leads, "a leading relay")
        yield running


async def keeper_of(pool: asyncpg.Pool, city_code: str) -> CityKeeper:
    """Return a city's picture, made from the database now, that follows no stream."""
    company = CompanyKeeper(pool)
    await company.rebuild()
    keeper = CityKeeper(Source(pool), city_code, company)
    await keeper.rebuild("test")
    return keeper


async def all_due(keeper: CityKeeper) -> None:
    """Wait until all that is pending is due by the picture's clock, which an answer's delay has put back."""
    async with asyncio.timeout(30):
        while keeper.picture.pending.count_due(keeper.source.now_s()) < len(keeper.picture.pending):
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
async def matcher(embedded_servers: EmbeddedServers, relay: RelayProcess) -> AsyncIterator[MatcherSettings]:
    """A matcher as it runs in production, in this process, that is quick to take a new city."""
    settings = MatcherSettings(
        matcher_port=free_ports(1)[0],
        matcher_metrics_port=free_ports(1)[0],
        matcher_dsn=embedded_servers.dsn("assignment_matcher"),
        redis_url=embedded_servers.redis_url,
        matcher_lease_renew_s=0.1,
        matcher_tick_ms=20,
        matcher_retry_s_min=0.1,
        matcher_retry_s_max=0.2,
        # It leases the cities of all tests before, which are hundreds in the end.
        matcher_picture=PictureLimits(reads_at_once_max=6, read_wait_ms=3_000),
        # For as long as a busy machine needs: what is cut short is not sought again.
        matcher_remedies_s_max=5.0,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(run_matcher(settings, stop))
    yield settings
    stop.set()
    await running
