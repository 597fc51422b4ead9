"""The reconciliation service's own roles on the real servers, and its api as it runs in production."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from lastmile.reconciliation.v1 import (
    exception_pb2_grpc,
    ledger_pb2_grpc,
    paper_pb2_grpc,
    rate_card_pb2_grpc,
    run_pb2_grpc,
    settlement_pb2_grpc,
    statement_pb2_grpc,
)

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.identity import Principal, Role, TokenSigner
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from libs.postgres.replica import ReplicaLimits
from services.reconciliation.app import serve_api
from services.reconciliation.ledger.rates import RateCard
from services.reconciliation.rate_cards import store as rate_cards
from services.reconciliation.settings import ApiSettings
from services.reconciliation.settlements.limits import SettlementLimits
from tests.desk_api import DeskApi, follow
from tests.ledger import SCOPE, card
from tests.recon import add_to_ledger, day_of
from tests.recon_runs import run_once, taken_in
from tests.recon_tables import emptied
from tests.settlements import City

# A city with cycles of its own.
OWN_CYCLES = "OWNCYCLES"
OPS = Principal("test", Role.OPS)


class LedgerApi:
    """Calls to the api as a caller of any role."""

    def __init__(self, target: str, channel: grpc.aio.Channel, signer: TokenSigner) -> None:
        self.target = target
        self.exceptions = exception_pb2_grpc.ExceptionServiceStub(channel)
        self.ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        self.papers = paper_pb2_grpc.PaperServiceStub(channel)
        self.rate_cards = rate_card_pb2_grpc.RateCardServiceStub(channel)
        self.runs = run_pb2_grpc.RunServiceStub(channel)
        self.settlements = settlement_pb2_grpc.SettlementServiceStub(channel)
        self.statements = statement_pb2_grpc.StatementServiceStub(channel)
        self._signer = signer
        self._seen = ""

    async def ask(self, method: Any, request: Any, principal: Principal = OPS) -> Any:
        """Return the answer; a write is seen by the next read."""
        call = method(request, metadata=self.metadata(principal), timeout=20)
        answer = await call
        sent = dict(await call.trailing_metadata())
        self._seen = str(sent.get("consistency-token", self._seen))
        return answer

    def metadata(self, principal: Principal = OPS) -> list[tuple[str, str]]:
        """The metadata of a call: who calls, and what it is to see."""
        return [self.credential(principal), *([("consistency-token", self._seen)] if self._seen else [])]

    def credential(self, principal: Principal) -> tuple[str, str]:
        """The metadata that says who calls."""
        token, _ = self._signer.sign(principal, datetime.now(UTC))
        return "authorization", f"Bearer {token}"

    def has_seen(self, token: str) -> None:
        """Have the next read see what was committed by this position."""
        self._seen = token


@pytest.fixture
async def owner(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(embedded_servers.dsn())
    yield connection
    await connection.close()


@pytest.fixture
async def pool(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    """The primary, as a worker."""
    limits = PoolLimits(connections_max=4, statement_timeout_ms=60_000)
    async with await create_pool(embedded_servers.dsn("reconciliation_worker"), limits, "test") as made:
        yield made


@pytest.fixture
async def clean(owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection, with the tables of reconciliation emptied around the test."""
    async with emptied(owner):
        yield owner


@pytest.fixture(scope="session")
async def books(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    """The primary, as the consumer."""
    limits = PoolLimits(connections_max=6)
    async with await create_pool(embedded_servers.dsn("reconciliation_consumer"), limits, "test") as pool:
        yield pool


@pytest.fixture
async def worker(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    """The primary, as a worker."""
    limits = PoolLimits(connections_max=3, statement_timeout_ms=60_000)
    async with await create_pool(embedded_servers.dsn("reconciliation_worker"), limits, "test") as pool:
        yield pool


@pytest.fixture
def city_code() -> str:
    """A city of the test's own."""
    return f"T{uuid.uuid4().hex[:10].upper()}"


async def add_card(owner: asyncpg.Connection, city_code: str, network_code: str = "") -> RateCard:
    """A rate card for a city's motorcycles."""
    made = card(id=new_id(), scope=replace(SCOPE, city_code=city_code, network_code=network_code))
    await rate_cards.create(owner, made)
    return made


@pytest.fixture
async def priced(owner: asyncpg.Connection, city_code: str) -> RateCard:
    """The rate card of the test's city."""
    return await add_card(owner, city_code)


@pytest.fixture
async def city(books: asyncpg.Pool, worker: asyncpg.Pool, city_code: str, priced: RateCard) -> City:
    """The test's city, settled in pieces of a few rows."""
    return City(books, worker, city_code, entries_piece=3, partners_piece=2, parties_piece=2)


@asynccontextmanager
async def serving(servers: EmbeddedServers, **changes: Any) -> AsyncIterator[LedgerApi]:
    """The api as a process would run it, with some settings of a test's own."""
    known = servers.service_environment
    settings = ApiSettings(
        reconciliation_port=free_ports(1)[0],
        reconciliation_dsn=servers.dsn("reconciliation_api"),
        reconciliation_query_dsn=servers.dsn("reconciliation_query", standby=True),
        reconciliation_fallback_dsn=servers.dsn("reconciliation_fallback"),
        reconciliation_replica=ReplicaLimits(replay_wait_ms_max=5_000),
        reconciliation_settlements=SettlementLimits(cycle="never", city_cycles={OWN_CYCLES: "never"}, settle_s=0),
        token_public_key_file=Path(known["LASTMILE_TOKEN_PUBLIC_KEY_FILE"]),
        **changes,
    )
    stop = asyncio.Event()
    served = asyncio.create_task(serve_api(settings, stop))
    signer = TokenSigner(Path(known["LASTMILE_TOKEN_PRIVATE_KEY_FILE"]), timedelta(hours=1))
    target = f"{settings.host}:{settings.reconciliation_port}"
    async with grpc.aio.insecure_channel(target) as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        yield LedgerApi(target, channel, signer)
    stop.set()
    await served


@pytest.fixture(scope="module")
async def api(embedded_servers: EmbeddedServers) -> AsyncIterator[LedgerApi]:
    async with serving(embedded_servers) as made:
        yield made


@pytest.fixture
async def desk(api: LedgerApi, clean: asyncpg.Connection, pool: asyncpg.Pool) -> DeskApi:
    """A day with discrepancies of every class, after its run."""
    day = day_of(1_200, seed=3, every=20)
    await add_to_ledger(clean, day.owed)
    await taken_in(pool, day.file())
    await run_once(pool)
    await follow(api, clean)
    return DeskApi(api)
