"""Deliveries in a real database: batches, idempotency, tenants, references and moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.grpc_server.errors import InvalidArgumentError
from libs.grpc_server.identity import Principal, Role
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from libs.postgres.tenancy import Visibility, visible
from services.assignment.deliveries import store
from services.assignment.deliveries.delivery import Delivery
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.deliveries.store import NewDelivery
from services.assignment.deliveries.writer import Creation, DeliveryWriter, StateMove, WriterLimits, Written
from services.assignment.errors import (
    IdempotencyKeyInFlightError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    ReferenceTakenError,
)
from services.assignment.idempotency.command import IdempotentCommand
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, NewOffer
from services.assignment.visibility import OPERATOR, TENANT
from tests.factories import CITY, delivery

OPS = Principal("test", Role.OPS)


@pytest.fixture(scope="session")
async def primary(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(embedded_servers.dsn("assignment_api"), PoolLimits(connections_max=20), "test")
    async with pool:
        async with pool.acquire() as connection, visible(connection, OPERATOR):
            await connection.execute(
                "INSERT INTO assignment.cities VALUES ($1, $1, 'Asia/Kolkata', 12.97, 77.59, 30000, 1000, 500, 8000,"
                " 60, 1800, 300, 1, now()) ON CONFLICT DO NOTHING",
                CITY,
            )
        yield pool


@pytest.fixture
async def writer(primary: asyncpg.Pool) -> AsyncIterator[DeliveryWriter]:
    made = DeliveryWriter(primary, WriterLimits(), moved_event)
    running = asyncio.create_task(made.run())
    yield made
    await made.close()
    await running


@pytest.fixture
async def new_merchant(primary: asyncpg.Pool) -> Callable[[], "asyncio.Future[UUID]"]:
    async def make() -> UUID:
        merchant_id = new_id()
        async with primary.acquire() as connection, visible(connection, OPERATOR):
            await connection.execute(
                "INSERT INTO assignment.merchants VALUES ($1, 'Test', $2, now())", merchant_id, str(merchant_id)
            )
        return merchant_id

    return make  # type: ignore[return-value]  # a coroutine function


def creation(made: Delivery, key: str | None = None, body: bytes = b"body", scope: str = "ops") -> Creation:
    command = IdempotentCommand(scope, key, "/create", body, None) if key else None
    return Creation(NewDelivery(made, Actor.OPS, '{"id": "x"}'), made.id.bytes, command)


async def count(pool: asyncpg.Pool, query: str, *arguments: object) -> int:
    async with pool.acquire() as connection, visible(connection, OPERATOR):
        return int(await connection.fetchval(query, *arguments))


async def test_concurrent_replays_of_one_key_have_one_effect(primary, writer, new_merchant) -> None:
    merchant_id = await new_merchant()
    key = str(new_id())
    attempts = [creation(delivery(merchant_id=merchant_id), key) for _ in range(50)]
    outcomes = await asyncio.gather(*(writer.create(OPS, a) for a in attempts), return_exceptions=True)
    written = [o for o in outcomes if isinstance(o, Written)]
    assert written
    assert all(isinstance(o, Written | IdempotencyKeyInFlightError) for o in outcomes)
    assert len({o.response for o in written}) == 1
    assert sum(not o.replayed for o in written) == 1
    assert await count(primary, "SELECT count(*) FROM assignment.deliveries WHERE merchant_id = $1", merchant_id) == 1


async def test_a_key_with_another_body_is_refused(writer, new_merchant) -> None:
    merchant_id, key = await new_merchant(), str(new_id())
    await writer.create(OPS, creation(delivery(merchant_id=merchant_id), key))
    with pytest.raises(IdempotencyKeyReusedError):
        await writer.create(OPS, creation(delivery(merchant_id=merchant_id), key, b"other"))


async def test_one_bad_row_does_not_cost_its_batch_a_good_one(primary, writer, new_merchant) -> None:
    merchant_id = await new_merchant()
    rows = [delivery(merchant_id=merchant_id) for _ in range(20)]
    rows[7] = delivery(merchant_id=new_id())  # no such merchant
    outcomes = await asyncio.gather(*(writer.create(OPS, creation(row)) for row in rows), return_exceptions=True)
    assert [place for place, o in enumerate(outcomes) if isinstance(o, Exception)] == [7]
    assert isinstance(outcomes[7], InvalidArgumentError)
    assert outcomes[7].violations[0].field == "details.merchant_id"
    assert await count(primary, "SELECT count(*) FROM assignment.deliveries WHERE merchant_id = $1", merchant_id) == 19


async def test_a_reference_names_one_delivery_of_its_merchant(writer, new_merchant) -> None:
    merchant_id = await new_merchant()
    rows = [delivery(merchant_id=merchant_id, merchant_reference="order-1") for _ in range(10)]
    outcomes = await asyncio.gather(*(writer.create(OPS, creation(row)) for row in rows), return_exceptions=True)
    (winner,) = [row for row, o in zip(rows, outcomes, strict=True) if isinstance(o, Written)]
    refused = [o for o in outcomes if isinstance(o, ReferenceTakenError)]
    assert len(refused) == 9
    assert {o.metadata["delivery_id"] for o in refused} == {str(winner.id)}


async def test_a_failed_row_leaves_its_reference_free(writer, new_merchant) -> None:
    merchant_id = await new_merchant()
    broken = delivery(merchant_id=merchant_id, merchant_reference="order-1", city_code="NOWHERE")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await writer.create(OPS, creation(broken))
    assert isinstance(
        await writer.create(OPS, creation(delivery(merchant_id=merchant_id, merchant_reference="order-1"))), Written
    )


async def test_a_merchant_sees_and_changes_its_own_rows_only(primary, writer, new_merchant) -> None:
    mine, theirs = await new_merchant(), await new_merchant()
    own, foreign = delivery(merchant_id=mine), delivery(merchant_id=theirs)
    await asyncio.gather(*(writer.create(OPS, creation(row)) for row in (own, foreign)))
    async with primary.acquire() as connection, visible(connection, Visibility.of(TENANT, [mine])):
        assert await store.get(connection, own.id) is not None
        assert await store.get(connection, foreign.id) is None
        assert await store.history(connection, foreign.id) == []
        updated = await connection.execute("UPDATE assignment.deliveries SET weight_g = 1 WHERE id = $1", foreign.id)
        assert updated == "UPDATE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await store.create(connection, [NewDelivery(delivery(merchant_id=theirs), Actor.MERCHANT, "{}")])


@pytest.mark.parametrize(
    "table", ["deliveries", "delivery_changes", "delivery_references", "offers", "explanations", "idempotency_keys"]
)
async def test_a_transaction_that_names_no_merchant_sees_nothing(primary, table: str) -> None:
    async with primary.acquire() as connection, visible(connection, Visibility(TENANT)):
        assert await connection.fetchval(f"SELECT count(*) FROM assignment.{table}") == 0


async def test_a_transaction_that_chooses_no_role_may_nothing(primary) -> None:
    async with primary.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM assignment.deliveries")


async def test_a_merchants_cancel_gives_the_partner_its_capacity_back(primary, writer, new_merchant) -> None:
    merchant_id, partner_id = await new_merchant(), new_id()
    async with primary.acquire() as connection, visible(connection, OPERATOR):
        await connection.execute(
            "INSERT INTO assignment.partners (id, display_name, city_code, vehicle, parcels_max, weight_g_max,"
            " volume_cm3_max, side_mm_max, home_lat, home_lng, acceptance, availability, created_at, updated_at)"
            " VALUES ($1, 'P', $2, 'car', 1, 9000, 90000, 900, 12.9, 77.5, 'by_offer', 'online', now(), now())",
            partner_id,
            CITY,
        )
    made = [delivery(merchant_id=merchant_id) for _ in range(2)]
    await asyncio.gather(*(writer.create(OPS, creation(row)) for row in made))
    expires_at = datetime.now(UTC) + timedelta(seconds=60)
    offers = [
        Move(
            d.id,
            DeliveryState.OFFERED,
            Actor.MATCHER,
            new_offer=NewOffer(new_id(), partner_id, new_id(), cost, expires_at),
        )
        for d, cost in zip(made, (2.0, 1.0), strict=True)
    ]
    outcomes = await asyncio.gather(
        *(writer.move(OPS, StateMove(m, lambda moved: b"", None, None)) for m in offers), return_exceptions=True
    )
    assert [isinstance(o, Written) for o in outcomes].count(True) == 1, "there is room for one"
    held = "SELECT parcels_held FROM assignment.partners WHERE id = $1"
    assert await count(primary, held, partner_id) == 1
    (taken,) = [d for d, o in zip(made, outcomes, strict=True) if isinstance(o, Written)]
    merchant = Principal("m", Role.MERCHANT, merchant_id=str(merchant_id))
    cancel = Move(taken.id, DeliveryState.CANCELLED, Actor.MERCHANT)
    await writer.move(merchant, StateMove(cancel, lambda moved: b"", None, str(merchant_id)))
    assert await count(primary, held, partner_id) == 0
    with pytest.raises(IllegalTransitionError):
        await writer.move(merchant, StateMove(replace(cancel), lambda moved: b"", None, str(merchant_id)))
    live = "SELECT count(*) FROM assignment.offers WHERE delivery_id = $1 AND ended_at IS NULL"
    assert await count(primary, live, taken.id) == 0
