"""A network with every fault there is, and dispatchers that are killed: both sides agree at the end."""

import asyncio
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg
import httpx

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import RunningStack
from tests.acceptance.test_partner_networks import until_well
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
SELECT o.id::text, o.state::text, n.told::text, n.due_at IS NULL AS is_settled, n.attempts,
  coalesce(n.leased_until > now(), false) AS is_leased
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
        # Which faults there are depends on how many calls there are, and in which order: as many as it takes.
        while len(set(network.record()["calls"]) - {"none"}) < 2:
            deliveries.append(more := ops.delivery(city, merchant))
            until(lambda: ops.state(more) == "DELIVERED", 60)
        network.behave(answers=False)
        offers, record = until(lambda: _settled(running_stack, city)), network.record()
    assert asyncio.run(broken_invariants(running_stack.dsn())) == {}
    assert sum(row["state"] == "completed" for row in offers) == len(deliveries)
    for row in offers:
        known = record["offers"].get(row["id"])
        if row["state"] in ("completed", "rejected"):
            assert known is not None
            assert known["told"] == 1
        elif known is not None:
            # Taken back: a network that knows of it knows that as well.
            assert known["ended"] >= 1, row
    assert record["given_up"] == 0


SHARED, LEFT_BEHIND = 24, 8
# Nothing is taken, and whoever asks waits long enough to be killed.
HANGING = {"hang_share": 1.0}


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """One more dispatcher."""

    process: "subprocess.Popen[bytes]"
    metrics_url: str

    def told(self) -> int | None:
        """How many offers it has told the network; None while it does not run."""
        try:
            text = httpx.get(self.metrics_url).text
        except httpx.TransportError:
            return None
        found = re.search(r'^lastmile_dispatch_told_total\{network="shared",what="offer"\} (\S+)', text, re.MULTILINE)
        return int(float(found.group(1))) if found else 0


@contextmanager
def second_dispatcher(stack: RunningStack, networks: SandboxNetworks) -> Iterator[Dispatcher]:
    """Another dispatcher of the stack's, which the test may kill."""
    port, metrics_port = free_ports(2)
    told = {
        "LASTMILE_ASSIGNMENT_DSN": stack.dsn("assignment_api"),
        "LASTMILE_REDIS_URL": stack.redis_url,
        "LASTMILE_NETWORKS_FILE": str(networks.file),
        "LASTMILE_DISPATCHER_PORT": str(port),
        "LASTMILE_DISPATCHER_METRICS_PORT": str(metrics_port),
        "LASTMILE_DISPATCHER_LIMITS__LEASE_SLACK_S": "0.5",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.assignment", "dispatcher"], env=stack.environment | told
    )
    made = Dispatcher(process, f"http://127.0.0.1:{metrics_port}/metrics")
    try:
        until(lambda: made.told() is not None)
        yield made
    finally:
        process.kill()
        process.wait(10)


def test_two_dispatchers_tell_each_offer_once_and_the_work_of_one_that_is_killed_goes_on(
    networks: SandboxNetworks, running_stack: RunningStack, ops: Rest
) -> None:
    behaviour = {"answer_ms": 20, "step_ms": 40}
    with (
        networks.running("shared", running_stack.base_url, **behaviour) as network,
        second_dispatcher(running_stack, networks) as second,
    ):
        until_well(running_stack, network, "shared")
        city, merchant = ops.city(), ops.merchant()
        for _ in range(SHARED + 1 + LEFT_BEHIND):
            ops.partner(city, networkCode="shared")

        def arrive(deliveries: list[str]) -> None:
            for delivery_id in deliveries:
                until(lambda: ops.state(delivery_id) == "DELIVERED", 60)  # noqa: B023 - looked at within its turn

        arrive([ops.delivery(city, merchant) for _ in range(SHARED)])
        offers = until(lambda: _settled(running_stack, city))
        assert [row["attempts"] for row in offers] == [1] * SHARED
        running_stack.kill("assignment-dispatcher", signal.SIGSTOP)
        try:
            # Who is first to an offer is up to the machine; with one of them stopped it is the other.
            told_before = second.told() or 0
            arrive([ops.delivery(city, merchant)])
            until(lambda: second.told() == told_before + 1)
            network.behave(**behaviour, faults=HANGING)
            left = [ops.delivery(city, merchant) for _ in range(LEFT_BEHIND)]
            until(lambda: sum(row["is_leased"] for row in asyncio.run(rows(running_stack, city))) >= 3)
            second.process.kill()
            network.behave(**behaviour)
        finally:
            running_stack.kill("assignment-dispatcher", signal.SIGCONT)
        arrive(left)
        offers, record = until(lambda: _settled(running_stack, city)), network.record()
    assert max(row["attempts"] for row in offers) > 1
    told = [record["offers"][row["id"]]["told"] for row in offers if row["state"] == "completed"]
    assert told == [1] * (SHARED + 1 + LEFT_BEHIND)


def _settled(stack: RunningStack, city_code: str) -> list[Json]:
    """What is known of a city's offers, once there is nothing more to tell of them."""
    found = asyncio.run(rows(stack, city_code))
    return found if all(row["is_settled"] for row in found) else []
