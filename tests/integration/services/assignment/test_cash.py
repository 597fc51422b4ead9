"""Cash on delivery: no partner holds more than its limit, whatever comes and goes."""

import asyncio

import asyncpg
import pytest
from lastmile.assignment.v1 import delivery_pb2, partner_pb2
from lastmile.common.v1 import money_pb2

from libs.embedded.stack import EmbeddedServers
from tests.assignment_api import AssignmentApi, Caller, capacity, details, until

pytestmark = pytest.mark.usefixtures("matcher")
# The most that a partner of a city holds, or is to collect.
MOST_HELD = """
SELECT coalesce(max(held), 0) FROM (
  SELECT sum(cash_on_delivery_minor)::bigint AS held FROM assignment.deliveries
  WHERE city_code = $1 AND state NOT IN ('pending', 'delivered', 'returned', 'cancelled')
  GROUP BY partner_id) AS found
"""


def rupees(amount: int, currency: str = "INR") -> money_pb2.Money:
    return money_pb2.Money(currency_code=currency, amount_minor=amount * 100)


@pytest.fixture
def ops(assignment_api: AssignmentApi) -> Caller:
    return assignment_api.ops


async def test_a_partner_never_collects_more_cash_than_it_may_and_gets_more_once_some_is_gone(ops: Caller) -> None:
    city, merchant = await ops.city(window_ms=300), await ops.merchant()
    await ops.partner(city, cash_limit=rupees(100), capacity=capacity(9))
    ids = await asyncio.gather(*(ops.delivery(city, merchant, cash_on_delivery=rupees(40)) for _ in range(5)))

    async def settled() -> tuple[list[str], list[str]] | None:
        found = [(await ops.get(delivery_id)) for delivery_id in ids]
        offered = [d.id for d in found if d.state == delivery_pb2.DELIVERY_STATE_OFFERED]
        waiting = [d.id for d in found if d.unassigned_reason == "CASH_LIMIT"]
        return (offered, waiting) if len(offered) + len(waiting) == 5 else None

    offered, waiting = await until(settled)
    assert (len(offered), len(waiting)) == (2, 3)
    assert dict((await ops.explanation(waiting[0])).partners_lost) == {"CASH_LIMIT": 1}
    free = await ops.delivery(city, merchant)
    await ops.open_offer(free)
    await ops.ask(ops.deliveries.CancelDelivery, delivery_pb2.CancelDeliveryRequest(delivery_id=offered[0]))

    async def another() -> bool:
        states = [(await ops.get(delivery_id)).state for delivery_id in waiting]
        return states.count(delivery_pb2.DELIVERY_STATE_OFFERED) == 1

    await until(another)


async def test_no_window_ever_lets_a_partner_hold_more_while_parcels_come_and_go(
    ops: Caller, embedded_servers: EmbeddedServers
) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    for _ in range(3):
        await ops.partner(
            city, cash_limit=rupees(100), capacity=capacity(20), acceptance=partner_pb2.ACCEPTANCE_AUTOMATIC
        )
    connection = await asyncpg.connect(embedded_servers.dsn())
    most, over = 0, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, await connection.fetchval(MOST_HELD, city))
            await asyncio.sleep(0.01)

    async def come_and_go() -> bool:
        delivery_id = await ops.delivery(city, merchant, cash_on_delivery=rupees(30))

        async def decided() -> bool:
            found = await ops.get(delivery_id)
            return bool(found.partner_id or found.unassigned_reason)

        await until(decided)
        left_waiting = not (await ops.get(delivery_id)).partner_id
        await ops.ask(ops.deliveries.CancelDelivery, delivery_pb2.CancelDeliveryRequest(delivery_id=delivery_id))
        return left_waiting

    async def shop() -> int:
        return sum([await come_and_go() for _ in range(3)])

    watching = asyncio.create_task(watch())
    try:
        waited = sum(await asyncio.gather(*(shop() for _ in range(15))))
    finally:
        over.set()
        await watching
        await connection.close()
    assert 6_000 <= most <= 10_000
    assert waited, "nobody ever waited: the limit was not reached"


async def test_cash_is_collected_in_rupees_only(ops: Caller) -> None:
    city, merchant = await ops.city(), await ops.merchant()
    parcel = details(city, merchant, cash_on_delivery=rupees(4, "USD"))
    request = delivery_pb2.CreateDeliveryRequest(details=parcel)
    refusal = await ops.refused(ops.deliveries.CreateDelivery, request)
    assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("details.cash_on_delivery.currency_code",))
