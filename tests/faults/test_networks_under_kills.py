"""A network with every fault there is, and dispatchers that are killed: both sides agree at the end."""

import asyncio
import random

import asyncpg

from libs.embedded.stack import RunningStack
from tests.invariants import broken_invariants
from tests.rest import Json, Rest, until
from tests.sandbox_networks import SandboxNetworks

SEED = 20_261_127
DELIVERIES, PARTNERS, KILLS = 16, 16, 2
FAULTS = {
    "latency_ms": 10,
    "hang_share": 0.03,
    "reset_share": 0.05,
    "reset_after_share": 0.08,
    "busy_share": 0.05,
    "error_share": 0.05,
    "garbage_share": 0.04,
    "duplicate_share": 0.3,
    "reorder_share": 0.3,
    "retry_after_s": 0,
}
OFFERS = """
SELECT o.id::text, o.state::text, n.told::text, n.due_at IS NULL AS is_settled
FROM assignment.offers o JOIN assignment.network_offers n ON n.offer_id = o.id
WHERE o.city_code = $1
"""


async def rows(stack: RunningStack, city_code: str) -> list[Json]:
    connection = await asyncpg.connect(stack.dsn())
    try:
        return [dict(row) for row in await connection.fetch(OFFERS, city_code)]
    finally:
        await connection.close()


def test_every_delivery_arrives_and_what_each_side_knows_of_each_offer_is_the_same(
    networks: SandboxNetworks, running_stack: RunningStack, ops: Rest
) -> None:
    chance = random.Random(SEED)
    behaviour = {"answer_ms": 20, "step_ms": 40, "accept_share": 0.9, "faults": FAULTS}
    with networks.running("other", running_stack.base_url, seed=SEED, **behaviour) as network:
        city, merchant = ops.city(), ops.merchant()
        for _ in range(PARTNERS):
            ops.partner(city, networkCode="other")
        kills = {round(DELIVERIES * (n + 1) / (KILLS + 1)) for n in range(KILLS)}
        deliveries = []
        for number in range(DELIVERIES):
            deliveries.append(ops.delivery(city, merchant))
            if number in kills:
                victim = chance.choice(["assignment-dispatcher", "assignment-consumer"])
                running_stack.kill(victim)
                running_stack.wait_ready()
        for delivery_id in deliveries:
            until(lambda: ops.state(delivery_id) == "DELIVERED", 60)  # noqa: B023 - looked at within its turn
        network.behave(answers=False)

        def settled() -> list[Json]:
            found = asyncio.run(rows(running_stack, city))
            return found if all(row["is_settled"] for row in found) else []

        offers, record = until(settled), network.record()
    assert asyncio.run(broken_invariants(running_stack.dsn())) == {}
    assert sum(row["state"] == "completed" for row in offers) == DELIVERIES
    for row in offers:
        known = record["offers"].get(row["id"])
        if row["state"] in ("completed", "rejected"):
            assert known is not None
            assert known["told"] == 1
        elif known is not None:
            # Taken back: a network that knows of it knows that as well.
            assert known["ended"] >= 1, row
    assert record["given_up"] == 0
    assert set(record["calls"]) >= {"none", "reset_after", "error"}
