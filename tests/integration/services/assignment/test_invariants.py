"""The queries of services/assignment/invariants: each sees its own fault, and runs where operators run it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from lastmile.assignment.v1 import delivery_pb2

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.postgres.tenancy import visible
from services.assignment.deliveries.lifecycle import TRANSITIONS, DeliveryState
from services.assignment.visibility import OPERATOR
from tests.assignment_api import AssignmentApi, details
from tests.invariants import FILES, broken_invariants

QUERIES = {path.stem: path.read_text() for path in FILES if path.parts[-3] == "assignment"}
_OFFER = """
INSERT INTO assignment.offers (id, delivery_id, merchant_id, partner_id, window_id, city_code, state, cost_s, weight_g,
  volume_cm3, offered_at)
SELECT gen_random_uuid(), d.id, d.merchant_id, p.id, gen_random_uuid(), d.city_code, 'accepted', 1, d.weight_g,
  d.volume_cm3, now() FROM assignment.deliveries d, assignment.partners p WHERE d.id = $1 AND p.id = $2
"""
_KEY = """
INSERT INTO assignment.idempotency_keys (scope, key, method, request_sha256, response, created_at)
VALUES ('ops', $1::text, $2, '', $3, now())
"""
CREATE, CANCEL = (f"/lastmile.assignment.v1.DeliveryService/{name}" for name in ("CreateDelivery", "CancelDelivery"))


class Faults:
    """A transaction that breaks promises and is rolled back."""

    def __init__(self, connection: asyncpg.Connection, delivery_id: str, partner_id: str) -> None:
        self.connection, self.delivery_id, self.partner_id = connection, delivery_id, partner_id

    async def do(self, statement: str, *arguments: object) -> None:
        """Break something. $1 is the delivery and $2 the partner, unless arguments are given."""
        given = arguments or (self.delivery_id, self.partner_id)[: 1 + ("$2" in statement)]
        await self.connection.execute(statement, *given)

    async def key(self, method: str, delivery_id: str) -> None:
        answer = delivery_pb2.CreateDeliveryResponse(delivery=delivery_pb2.Delivery(id=delivery_id, version=2))
        answer.delivery.details.CopyFrom(details("BLR", str(new_id())))
        answer.delivery.details.merchant_id = ""
        await self.do(_KEY, str(new_id()), method, answer.SerializeToString())

    async def found(self) -> set[str]:
        """The invariants that say so."""
        return {name for name, query in QUERIES.items() if await self.connection.fetch(query)}


@pytest.fixture
async def faults(embedded_servers: EmbeddedServers, assignment_api: AssignmentApi) -> AsyncIterator[Faults]:
    ops = assignment_api.ops
    city, merchant = await ops.city(), await ops.merchant()
    ids = await ops.delivery(city, merchant, merchant_reference=str(new_id())), await ops.partner(city)
    connection = await asyncpg.connect(embedded_servers.dsn())
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield Faults(connection, *ids)
    finally:
        await transaction.rollback()
        await connection.close()


async def test_each_opens_with_what_it_proves() -> None:
    assert len(QUERIES) >= 8
    assert all(query.startswith("-- Promise ") for query in QUERIES.values())


async def test_nothing_is_broken_before_anything_is_broken(faults: Faults) -> None:
    assert await faults.found() == set()


async def test_a_second_live_offer_is_found(faults: Faults) -> None:
    await faults.connection.execute("DROP INDEX assignment.offers_live")
    await faults.do(_OFFER)
    await faults.do(_OFFER)
    assert "one_live_assignment" in await faults.found()


async def test_a_live_offer_of_a_pending_delivery_is_found(faults: Faults) -> None:
    await faults.do(_OFFER)
    assert {"state_and_offer_agree", "load_counted"} == await faults.found()


@pytest.mark.parametrize("limit", ["weight_g_max = 1199", "volume_cm3_max = 8999", "parcels_max = 0"])
async def test_a_partner_above_its_capacity_is_found(faults: Faults, limit: str) -> None:
    await faults.do(_OFFER)
    await faults.do(f"UPDATE assignment.partners SET {limit} WHERE id = $1", faults.partner_id)
    assert "capacity_kept" in await faults.found()


@pytest.mark.parametrize("counter", ["parcels_held", "weight_g_held", "volume_cm3_held"])
async def test_a_load_that_no_offer_explains_is_found(faults: Faults, counter: str) -> None:
    await faults.do(f"UPDATE assignment.partners SET {counter} = 1 WHERE id = $1", faults.partner_id)
    assert await faults.found() == {"load_counted"}


async def test_what_has_no_place_in_its_partners_route_is_found(faults: Faults) -> None:
    await faults.do(_OFFER)
    assert "routes_ranked" not in await faults.found()
    await faults.do("UPDATE assignment.offers SET drop_rank = NULL WHERE delivery_id = $1 AND partner_id = $2")
    assert "routes_ranked" in await faults.found()


async def test_a_state_that_the_history_does_not_end_in_is_found(faults: Faults) -> None:
    await faults.do("UPDATE assignment.deliveries SET state = 'cancelled' WHERE id = $1")
    assert await faults.found() == {"history_whole"}


_STEP = """
INSERT INTO assignment.delivery_changes (delivery_id, sequence, merchant_id, from_state, to_state, actor, occurred_at,
  recorded_at) SELECT id, {sequence}, merchant_id, '{before}', '{after}', 'ops', now(), now()
FROM assignment.deliveries WHERE id = $1
"""


@pytest.mark.parametrize("step", [(3, "pending", "cancelled"), (2, "offered", "cancelled")])
async def test_a_history_with_a_gap_or_a_jump_is_found(faults: Faults, step: tuple[int, str, str]) -> None:
    await faults.do(_STEP.format(sequence=step[0], before=step[1], after=step[2]))
    await faults.do("UPDATE assignment.deliveries SET state = 'cancelled', version = $2::int WHERE id = $1::uuid",
                    faults.delivery_id, step[0])  # fmt: skip
    assert await faults.found() == {"history_whole"}


@pytest.mark.parametrize("before", [None, *DeliveryState])
async def test_a_step_is_found_exactly_when_the_lifecycle_has_no_such_transition(
    faults: Faults, before: DeliveryState | None
) -> None:
    legal = {(t.from_state, t.to_state) for t in TRANSITIONS} | {(None, DeliveryState.PENDING)}
    for sequence, after in enumerate(DeliveryState, start=2):
        step = _STEP.format(sequence=sequence, before=before or "", after=after).replace("''", "NULL")
        await faults.do(step)
    rows = await faults.connection.fetch(QUERIES["history_legal"])
    found = {row["to_state"] for row in rows if str(row["delivery_id"]) == faults.delivery_id}
    assert found == {after for after in DeliveryState if (before, after) not in legal}


async def test_a_reference_that_does_not_find_its_delivery_is_found(faults: Faults) -> None:
    await faults.do("DELETE FROM assignment.delivery_references WHERE delivery_id = $1")
    assert await faults.found() == {"references_unique"}


async def test_a_key_whose_delivery_does_not_exist_is_found(faults: Faults) -> None:
    await faults.key(CREATE, faults.delivery_id)
    assert await faults.found() == set()
    await faults.key(CREATE, str(new_id()))
    assert await faults.found() == {"answers_kept"}


async def test_a_key_whose_change_of_state_never_happened_is_found(faults: Faults) -> None:
    await faults.key(CANCEL, faults.delivery_id)
    assert await faults.found() == {"answers_kept"}


async def test_operators_run_them_all_on_the_standby(embedded_servers: EmbeddedServers) -> None:
    connection = await asyncpg.connect(embedded_servers.dsn("assignment_api", standby=True))
    try:
        async with visible(connection, OPERATOR):
            assert not [name for name, query in QUERIES.items() if await connection.fetch(query)]
    finally:
        await connection.close()
    assert await broken_invariants(embedded_servers.dsn()) == {}
