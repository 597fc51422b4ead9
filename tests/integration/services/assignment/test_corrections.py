"""Proofs of delivery that ops correct, over gRPC with a matcher running: what changes, and what stays as it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio as redis
from lastmile.assignment.v1 import assignment_pb2, delivery_pb2, partner_pb2

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.pool import PoolLimits, create_pool
from tests.assignment_api import AssignmentApi, Caller, place, until
from tests.invariants import broken_invariants
from tests.pictures import QUICK, Followed

pytestmark = pytest.mark.usefixtures("matcher")
DELIVERED, CANCELLED = delivery_pb2.DELIVERY_STATE_DELIVERED, delivery_pb2.DELIVERY_STATE_CANCELLED
ON_THE_WAY = (delivery_pb2.DELIVERY_STATE_PICKED_UP, delivery_pb2.DELIVERY_STATE_OUT_FOR_DELIVERY)
HOUR = timedelta(hours=1)


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def record(caller: Caller, delivery_id: str, state: int) -> None:
    request = delivery_pb2.RecordDeliveryStatusRequest(delivery_id=delivery_id, state=state)
    await caller.ask(caller.deliveries.RecordDeliveryStatus, request)


async def assigned(ops: Caller, city: str) -> tuple[str, str, str]:
    """A delivery that a partner has taken on: its id, its merchant's and its partner's."""
    merchant_id = await ops.merchant()
    partner_id = await ops.partner(city, acceptance=partner_pb2.ACCEPTANCE_AUTOMATIC)
    delivery_id = await ops.delivery(city, merchant_id)

    async def is_assigned() -> bool:
        return (await ops.get(delivery_id)).state == delivery_pb2.DELIVERY_STATE_ASSIGNED

    await until(is_assigned)
    return delivery_id, merchant_id, partner_id


async def handed_over(ops: Caller, city: str) -> tuple[str, str, str]:
    """The same, delivered."""
    found = await assigned(ops, city)
    for state in (*ON_THE_WAY, DELIVERED):
        await record(ops, found[0], state)
    return found


async def history(ops: Caller, delivery_id: str) -> list[delivery_pb2.DeliveryChange]:
    request = delivery_pb2.GetDeliveryHistoryRequest(delivery_id=delivery_id)
    return list((await ops.ask(ops.deliveries.GetDeliveryHistory, request)).changes)


def correction(delivery_id: str, at: datetime | None = None, **changes: Any) -> delivery_pb2.CorrectProofRequest:
    request = delivery_pb2.CorrectProofRequest(**({"delivery_id": delivery_id, "reason": "WRONG_TIME"} | changes))
    request.delivered_at.FromDatetime(at or datetime.now(UTC))
    return request


async def test_a_corrected_proof_is_a_change_of_its_own_and_nothing_else_moves(
    ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    delivery_id, _, partner_id = await handed_over(ops, await ops.city())
    before, offers = await ops.get(delivery_id), await ops.offers(delivery_id)
    followed, handed = (await history(ops, delivery_id))[-2:]
    at = followed.occurred_at.ToDatetime(tzinfo=UTC)
    request = correction(delivery_id, at, location=place(12.9353, 77.6246), note="the clock was wrong")
    answer = (await ops.ask(ops.deliveries.CorrectProof, request)).delivery
    assert (answer.state, answer.version, answer.partner_id) == (DELIVERED, before.version + 1, partner_id)
    assert await ops.get(delivery_id) == answer

    *earlier, last = await history(ops, delivery_id)
    assert earlier[-2:] == [followed, handed], "what was recorded first stays as it was"
    assert (last.sequence, last.from_state, last.to_state) == (handed.sequence + 1, DELIVERED, DELIVERED)
    assert (last.actor, last.partner_id) == (delivery_pb2.ACTOR_OPS, handed.partner_id)
    assert (last.occurred_at, last.location) == (request.delivered_at, request.location)
    assert (last.reason, last.note) == ("WRONG_TIME", "the clock was wrong")
    assert last.recorded_at.ToDatetime(tzinfo=UTC) > handed.recorded_at.ToDatetime(tzinfo=UTC)

    await ops.ask(ops.deliveries.CorrectProof, correction(delivery_id))
    assert (await ops.get(delivery_id)).version == before.version + 2
    assert await ops.offers(delivery_id) == offers
    partner = await ops.ask(ops.partners.GetPartner, partner_pb2.GetPartnerRequest(partner_id=partner_id))
    assert partner.partner.load.parcels == 0
    route = assignment_pb2.GetPartnerRouteRequest(partner_id=partner_id)
    assert not (await ops.ask(ops.assignments.GetPartnerRoute, route)).stops
    assert await broken_invariants(embedded_servers.dsn(), "assignment") == {}


async def test_a_time_that_cannot_be_and_a_reason_that_is_none_are_refused_by_their_fields(ops: Caller) -> None:
    delivery_id, _, _ = await handed_over(ops, await ops.city())
    (followed, _), now = (await history(ops, delivery_id))[-2:], datetime.now(UTC)
    too_early = followed.occurred_at.ToDatetime(tzinfo=UTC) - timedelta(milliseconds=1)
    lacks_time = delivery_pb2.CorrectProofRequest(delivery_id=delivery_id, reason="WRONG_TIME")
    for request, field in (
        (correction(delivery_id, now + HOUR), "delivered_at"),
        (correction(delivery_id, too_early), "delivered_at"),
        (lacks_time, "delivered_at"),
        (correction(delivery_id, reason=""), "reason"),
        (correction(delivery_id, reason="wrong time"), "reason"),
        (correction(delivery_id, note="\x00"), "note"),
        (correction("x"), "delivery_id"),
    ):
        refusal = await ops.refused(ops.deliveries.CorrectProof, request)
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", (field,))
    assert len(await history(ops, delivery_id)) == (await ops.get(delivery_id)).version == 5


async def test_what_is_not_delivered_has_no_proof_to_correct(ops: Caller) -> None:
    unknown = await ops.refused(ops.deliveries.CorrectProof, correction(str(new_id())))
    assert (unknown.code, unknown.reason) == ("NOT_FOUND", "DELIVERY_NOT_FOUND")
    delivery_id, _, _ = await assigned(ops, await ops.city())

    async def refusal() -> tuple[str, str, dict[str, str]]:
        found = await ops.refused(ops.deliveries.CorrectProof, correction(delivery_id))
        return found.code, found.reason, found.metadata

    said = {"state": "assigned", "legal_next_states": "picked_up,pending,cancelled"}
    assert await refusal() == ("FAILED_PRECONDITION", "ILLEGAL_TRANSITION", said)
    for state in (*ON_THE_WAY, DELIVERED):
        await record(ops, delivery_id, state)
    await ops.ask(ops.deliveries.CorrectProof, correction(delivery_id))
    cancel = delivery_pb2.CancelDeliveryRequest(delivery_id=delivery_id, reason="PROOF_REJECTED")
    assert (await ops.ask(ops.deliveries.CancelDelivery, cancel)).delivery.state == CANCELLED
    said = {"state": "cancelled", "legal_next_states": ""}
    assert await refusal() == ("FAILED_PRECONDITION", "ILLEGAL_TRANSITION", said)


async def test_nobody_but_ops_corrects_a_proof_and_no_other_call_does(
    assignment_api: AssignmentApi, ops: Caller
) -> None:
    delivery_id, merchant_id, partner_id = await handed_over(ops, await ops.city())
    merchant, partner = assignment_api.merchant(merchant_id), assignment_api.partner(partner_id)
    for caller in (merchant, partner):
        refusal = await caller.refused(caller.deliveries.CorrectProof, correction(delivery_id))
        assert refusal.code == "PERMISSION_DENIED"
    again = delivery_pb2.RecordDeliveryStatusRequest(delivery_id=delivery_id, state=DELIVERED, reason="WRONG_TIME")
    for caller, legal in ((ops, "cancelled"), (partner, "")):
        refusal = await caller.refused(caller.deliveries.RecordDeliveryStatus, again)
        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "ILLEGAL_TRANSITION")
        assert refusal.metadata == {"state": "delivered", "legal_next_states": legal}
    assert (await ops.get(delivery_id)).version == 5


async def test_a_correction_that_comes_twice_with_one_key_is_made_once(
    ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    delivery_id, _, _ = await handed_over(ops, await ops.city())
    request, key = correction(delivery_id), str(new_id())
    first = await ops.ask(ops.deliveries.CorrectProof, request, key)
    assert await ops.ask(ops.deliveries.CorrectProof, request, key) == first
    assert ops.metadata["idempotent-replayed"] == "true"
    other = await ops.refused(ops.deliveries.CorrectProof, correction(delivery_id, reason="WRONG_PLACE"), key)
    assert (other.code, other.reason) == ("INVALID_ARGUMENT", "IDEMPOTENCY_KEY_REUSED")
    assert (await ops.get(delivery_id)).version == first.delivery.version == 6
    assert await broken_invariants(embedded_servers.dsn(), "assignment") == {}


async def test_corrections_at_once_are_all_recorded_one_after_the_other(ops: Caller) -> None:
    delivery_id, _, _ = await handed_over(ops, await ops.city())
    (followed, _) = (await history(ops, delivery_id))[-2:]
    at = followed.occurred_at.ToDatetime(tzinfo=UTC)
    # Each is measured by what the hand-over followed, so their order does not matter.
    times = [at + timedelta(milliseconds=millisecond) for millisecond in (9, 1, 5)]
    await asyncio.gather(*(ops.ask(ops.deliveries.CorrectProof, correction(delivery_id, time)) for time in times))
    changes = (await history(ops, delivery_id))[5:]
    assert [change.sequence for change in changes] == [6, 7, 8]
    assert sorted(change.occurred_at.ToDatetime(tzinfo=UTC) for change in changes) == sorted(times)


@asynccontextmanager
async def following(servers: EmbeddedServers, city_code: str) -> AsyncIterator[Followed]:
    """The picture of a city that follows its stream."""
    async with (
        await create_pool(servers.dsn("assignment_matcher"), PoolLimits(), "test-picture") as pool,
        redis.from_url(servers.redis_url, socket_timeout=5) as client,
    ):
        followed, stop = Followed(pool, client, city_code, QUICK), asyncio.Event()
        running = asyncio.create_task(followed.follower.run(stop))
        await asyncio.wait_for(followed.keeper.ready.wait(), 20)
        yield followed
        stop.set()
        await running


async def test_the_matcher_counts_a_hand_over_once_however_often_it_is_corrected(
    ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    city = await ops.city()
    async with following(embedded_servers, city) as followed:
        delivery_id, _, partner_id = await handed_over(ops, city)
        for _ in range(2):
            await ops.ask(ops.deliveries.CorrectProof, correction(delivery_id))

        async def is_told() -> bool:
            return followed.keeper.picture.delivery_version(UUID(delivery_id)) == 7

        await until(is_told)
        await followed.settled()
        picture = followed.keeper.picture
        (counted_at,) = picture.completed[UUID(partner_id)]
        assert picture.partners.load(UUID(partner_id)).parcels == 0
        assert not picture.holdings(UUID(partner_id))
        connection = await asyncpg.connect(embedded_servers.dsn())
        ended_at = await connection.fetchval(
            "SELECT ended_at FROM assignment.offers WHERE delivery_id = $1", delivery_id
        )
        await connection.close()
        assert counted_at == ended_at.timestamp(), "it counts when it was recorded first"
