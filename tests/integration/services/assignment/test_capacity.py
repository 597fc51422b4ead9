"""Promise 1 under concurrency: two hundred matches at once over few partners with little room."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import grpc
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from services.assignment.cities import store as cities_store
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.errors import LeaseLostError, PartnerTakenError
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, Moved, NewOffer
from services.assignment.offers.store import transition
from services.assignment.partners.positions import PositionBook, PositionLimits
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.window import WindowRunner
from tests.assignment_api import AssignmentApi, capacity, details, refusal_of
from tests.integration.services.assignment.conftest import all_due, keeper_of, lease
from tests.invariants import broken_invariants

MATCHES = 200
MATCHER_STATEMENT_MS_MAX = MatcherSettings.model_fields["matcher_pool"].default.statement_timeout_ms
# Each is refused by a different limit first: parcels, weight, volume.
CAPACITIES = (capacity(2), capacity(9, weight_g=3_000), capacity(9, volume_cm3=20_000), capacity(1))
# What a caller is told who comes too late or at the same time as another.
TOO_LATE = {"OFFER_ENDED", "ILLEGAL_TRANSITION", "TRANSITION_NOT_YOURS", "VERSION_CONFLICT"}


@pytest.fixture
async def pool(embedded_servers: EmbeddedServers) -> AsyncIterator[asyncpg.Pool]:
    """The matcher's role and patience, with many connections."""
    limits = PoolLimits(connections_max=40, statement_timeout_ms=MATCHER_STATEMENT_MS_MAX)
    async with await create_pool(embedded_servers.dsn("assignment_matcher"), limits, "test-matchers") as made:
        yield made


async def test_two_hundred_commits_at_once_fill_partners_to_the_brim_and_no_further(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers, pool: asyncpg.Pool
) -> None:
    ops = assignment_api.ops
    city, merchant = await ops.city(), await ops.merchant()
    partners = [await ops.partner(city, capacity=limits) for limits in CAPACITIES]
    rows = [details(city, merchant, weight_g=1_200) for _ in range(MATCHES)]
    deliveries = await ops.many_deliveries(rows)

    async def offer(delivery_id: str, partner_id: str) -> Moved | Exception:
        made = NewOffer(new_id(), UUID(partner_id), new_id(), 1.0, None)
        move = Move(UUID(delivery_id), DeliveryState.ASSIGNED, Actor.MATCHER, new_offer=made)
        async with pool.acquire() as connection, connection.transaction():
            (outcome,) = await transition(connection, [move], datetime.now(UTC), moved_event)
        return outcome

    outcomes = await asyncio.gather(*(offer(d, partners[n % len(partners)]) for n, d in enumerate(deliveries)))
    taken = Counter(str(o.delivery.partner_id) for o in outcomes if isinstance(o, Moved))
    # 1,200 g and 9,000 cm3 each: two by parcels, two by weight, two by volume, one by parcels.
    assert [taken[partner] for partner in partners] == [2, 2, 2, 1]
    refused = [o for o in outcomes if not isinstance(o, Moved)]
    assert {(type(o), o.reason) for o in refused} == {(PartnerTakenError, "PARTNER_FULL")}
    assert await broken_invariants(embedded_servers.dsn()) == {}


async def test_two_hundred_matches_of_one_delivery_assign_it_once(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers, pool: asyncpg.Pool
) -> None:
    ops = assignment_api.ops
    city, merchant = await ops.city(), await ops.merchant()
    partners = [await ops.partner(city) for _ in range(8)]
    delivery_id = UUID(await ops.delivery(city, merchant))

    async def offer(n: int) -> Moved | Exception:
        made = NewOffer(new_id(), UUID(partners[n % 8]), new_id(), 1.0, None)
        state = (DeliveryState.OFFERED, DeliveryState.ASSIGNED)[n % 2]
        async with pool.acquire() as connection, connection.transaction():
            move = Move(delivery_id, state, Actor.MATCHER, new_offer=made)
            (outcome,) = await transition(connection, [move], datetime.now(UTC), moved_event)
        return outcome

    outcomes = await asyncio.gather(*(offer(n) for n in range(MATCHES)))
    assert sum(isinstance(outcome, Moved) for outcome in outcomes) == 1
    assert await pool.fetchval("SELECT count(*) FROM assignment.offers WHERE delivery_id = $1", delivery_id) == 1
    assert await broken_invariants(embedded_servers.dsn()) == {}


class Crowd:
    """Partners, merchants and ops who answer, hand back, carry on and cancel at random until the matches are over."""

    def __init__(self, api: AssignmentApi, pool: asyncpg.Pool, city: str, seed: int) -> None:
        self.api, self.pool, self.city, self.chance = api, pool, city, random.Random(seed)
        self.over = asyncio.Event()
        self.answers: Counter[str] = Counter()

    async def run(self) -> None:
        while not self.over.is_set():
            rows = await self.pool.fetch(
                "SELECT d.id, d.merchant_id, d.partner_id, d.state, o.id AS offer_id FROM assignment.deliveries d"
                " LEFT JOIN assignment.offers o ON o.delivery_id = d.id AND o.ended_at IS NULL"
                " WHERE d.city_code = $1 AND d.state IN ('pending', 'offered', 'assigned') ORDER BY random() LIMIT 12",
                self.city,
            )
            await asyncio.gather(*(self._act(row) for row in rows))

    async def _act(self, row: asyncpg.Record) -> None:
        cancel = delivery_pb2.CancelDeliveryRequest(delivery_id=str(row["id"]))
        merchant = self.api.merchant(str(row["merchant_id"]))
        try:
            if row["offer_id"] is None:
                # Rarely, so that enough stays to be matched.
                if self.chance.random() < 0.1:
                    await merchant.ask(merchant.deliveries.CancelDelivery, cancel)
                    self.answers["cancel"] += 1
                return
            offer_id, caller = str(row["offer_id"]), self.api.partner(str(row["partner_id"]))
            service = caller.assignments
            action = self.chance.choice(("accept", "reject", "reject", "reject", "cancel"))
            if action == "accept":
                await caller.ask(service.AcceptOffer, assignment_pb2.AcceptOfferRequest(offer_id=offer_id))
            elif action == "reject":
                await caller.ask(service.RejectOffer, assignment_pb2.RejectOfferRequest(offer_id=offer_id))
            else:
                await merchant.ask(merchant.deliveries.CancelDelivery, cancel)
            self.answers[action] += 1
        except grpc.aio.AioRpcError as error:
            reason = refusal_of(error).reason
            # One that waited too long behind the windows is told to try again, and nothing of it has happened.
            if reason not in TOO_LATE and error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            self.answers[reason] += 1


async def test_capacity_holds_under_two_hundred_windows_while_partners_answer_and_merchants_cancel(
    assignment_api: AssignmentApi,
    embedded_servers: EmbeddedServers,
    pool: asyncpg.Pool,
    redis_client: redis.Redis,
) -> None:
    ops = assignment_api.ops
    city_code, merchant = await ops.city(), await ops.merchant()
    for n in range(12):
        acceptance = (partner_pb2.ACCEPTANCE_BY_OFFER, partner_pb2.ACCEPTANCE_AUTOMATIC)[n % 6 == 0]
        await ops.partner(city_code, capacity=CAPACITIES[n % 4], acceptance=acceptance)
    chance = random.Random(2)
    weights = [chance.choice((400, 1_200, 1_600)) for _ in range(300)]
    await ops.many_deliveries([details(city_code, merchant, weight_g=weight_g) for weight_g in weights])
    held, lost = await lease(embedded_servers, city_code)
    async with pool.acquire() as connection:
        city = next(c for c in await cities_store.every(connection) if c.code == city_code)
    settings = MatcherSettings(
        matcher_dsn=embedded_servers.dsn("assignment_matcher"),
        redis_url=embedded_servers.redis_url,
        matcher_retry_s_min=0.001,
        matcher_retry_s_max=0.01,
    )
    # As many matchers as a fault could make believe that they hold the city: the fence lets all but one in five pass.
    runners = [WindowRunner(pool, PositionBook(redis_client, PositionLimits()), settings) for _ in range(5)]
    # Each with as many windows at once as a matcher has. They want the same deliveries and queue for them: the last one
    # waits for the transactions of all others, and so does a partner who answers.
    slots = [asyncio.Semaphore(settings.matcher_windows_at_once_max) for _ in runners]
    crowd = Crowd(assignment_api, pool, city_code, 1)

    async def window(n: int) -> int | str:
        policy = replace(city.policy, window_deliveries_max=chance.choice((3, 10, 40, 150)))
        seen = lost if n % 5 == 0 else held
        try:
            async with slots[n % 5]:
                made = await runners[n % 5].run(replace(city, policy=policy), seen, await keeper_of(pool, city_code))
        except LeaseLostError as error:
            assert seen is lost
            return error.reason
        assert seen is held or made is None
        return made.conflicts if made else 0

    async with asyncio.TaskGroup() as group:
        crowds = [group.create_task(crowd.run()) for _ in range(3)]
        outcomes = await asyncio.gather(*(window(n) for n in range(MATCHES)))
        crowd.over.set()
        await asyncio.gather(*crowds)
    assert outcomes.count("LEASE_LOST") > 0
    assert sum(o for o in outcomes if isinstance(o, int)) > 0, "no two windows met"
    assert all(crowd.answers[action] for action in ("accept", "reject", "cancel")), crowd.answers
    assert await broken_invariants(embedded_servers.dsn()) == {}


async def waits_for_a_lock(pool: asyncpg.Pool, application: str) -> None:
    """Return once a connection of the application waits for somebody's lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not await pool.fetchval(query, application):
            await asyncio.sleep(0.01)


LOCK_DELIVERY = "SELECT id FROM assignment.deliveries WHERE id = $1 FOR NO KEY UPDATE"
LOCK_PARTNER = "SELECT id FROM assignment.partners WHERE id = $1 FOR NO KEY UPDATE NOWAIT"


async def test_a_window_never_waits_for_a_delivery_while_it_holds_its_partners(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers, pool: asyncpg.Pool, redis_client: redis.Redis
) -> None:
    ops = assignment_api.ops
    city_code, merchant = await ops.city(), await ops.merchant()
    await ops.partner(city_code)
    fits, too_heavy = [await ops.delivery(city_code, merchant, weight_g=weight_g) for weight_g in (400, 900_000)]
    held, _ = await lease(embedded_servers, city_code)
    settings = MatcherSettings(
        matcher_dsn=embedded_servers.dsn("assignment_matcher"), redis_url=embedded_servers.redis_url
    )
    async with pool.acquire() as other, other.transaction():
        city = next(c for c in await cities_store.every(other) if c.code == city_code)
        await other.execute(LOCK_DELIVERY, UUID(too_heavy))
        runner = WindowRunner(pool, PositionBook(redis_client, PositionLimits()), settings)
        keeper = await keeper_of(pool, city_code)
        await all_due(keeper)
        window = await asyncio.wait_for(runner.run(city, held, keeper), 5)
    assert window is not None
    assert (window.assigned, window.conflicts) == (1, 0)
    # On the primary: the standby may be a moment behind what no caller has a token of.
    assert await pool.fetchval("SELECT state FROM assignment.deliveries WHERE id = $1", UUID(fits)) == "offered"
    lost = "SELECT partners_lost ->> 'TOO_HEAVY' FROM assignment.explanations WHERE delivery_id = $1"
    assert await pool.fetchval(lost, UUID(too_heavy)) == "1"


async def test_moves_of_one_delivery_in_one_batch_take_partners_in_the_order_of_all_others(
    assignment_api: AssignmentApi, embedded_servers: EmbeddedServers, pool: asyncpg.Pool
) -> None:
    ops = assignment_api.ops
    city, merchant = await ops.city(), await ops.merchant()
    first, last = sorted([UUID(await ops.partner(city)) for _ in range(2)])
    twice, once = [UUID(await ops.delivery(city, merchant)) for _ in range(2)]
    offers = [
        Move(d, DeliveryState.OFFERED, Actor.MATCHER, new_offer=NewOffer(new_id(), p, new_id(), 1.0, None))
        for d, p in ((twice, first), (once, last))
    ]
    batch = [
        Move(twice, DeliveryState.ASSIGNED, Actor.OPS),
        Move(once, DeliveryState.PENDING, Actor.OPS, reason="OFFER_REJECTED"),
        Move(twice, DeliveryState.PENDING, Actor.OPS, reason="OFFER_REJECTED"),
    ]

    async def make(moves: list[Move]) -> list[Moved | Exception]:
        async with pool.acquire() as connection, connection.transaction():
            return await transition(connection, moves, datetime.now(UTC), moved_event)

    assert all(isinstance(o, Moved) for o in await make(offers))
    async with asyncio.TaskGroup() as group, pool.acquire() as other, other.transaction():
        await other.execute(LOCK_PARTNER, first)
        batched = group.create_task(make(batch))
        await waits_for_a_lock(pool, "test-matchers")
        await other.execute(LOCK_PARTNER, last)
    assert all(isinstance(o, Moved) for o in batched.result())
    assert await broken_invariants(embedded_servers.dsn()) == {}
