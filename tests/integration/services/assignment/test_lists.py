"""Lists by states: the same rows in the same order, whichever statement serves them."""

from collections.abc import Sequence
from typing import Any

import pytest
from lastmile.assignment.v1 import delivery_pb2

from tests.assignment_api import AssignmentApi, Caller, details

PENDING, CANCELLED = delivery_pb2.DELIVERY_STATE_PENDING, delivery_pb2.DELIVERY_STATE_CANCELLED
DELIVERED = delivery_pb2.DELIVERY_STATE_DELIVERED


async def pages(caller: Caller, states: Sequence[Any], **filters: Any) -> list[str]:
    """Every id of a list that is read three at a time."""
    found, token = [], ""
    while True:
        request = delivery_pb2.ListDeliveriesRequest(states=states, page_size=3, page_token=token, **filters)
        answer = await caller.ask(caller.deliveries.ListDeliveries, request)
        found += [delivery.id for delivery in answer.deliveries]
        token = answer.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("as_merchant", [False, True])
async def test_states_of_both_kinds_are_one_list_newest_first(assignment_api: AssignmentApi, as_merchant: bool) -> None:
    ops = assignment_api.ops
    city, merchant = await ops.city(), await ops.merchant()
    ids = await ops.many_deliveries([details(city, merchant) for _ in range(10)])
    for delivery_id in ids[::2]:
        await ops.ask(ops.deliveries.CancelDelivery, delivery_pb2.CancelDeliveryRequest(delivery_id=delivery_id))
    caller, filters = ops, {"city_code": city}
    if as_merchant:
        caller, filters = assignment_api.merchant(merchant), {}
        caller.reads_after(ops)
    newest_first = sorted(ids, reverse=True)
    assert await pages(caller, [], **filters) == newest_first
    assert await pages(caller, [PENDING, CANCELLED], **filters) == newest_first
    assert await pages(caller, [PENDING, CANCELLED, DELIVERED], **filters) == newest_first
    assert await pages(caller, [CANCELLED], **filters) == sorted(ids[::2], reverse=True)
    assert await pages(caller, [PENDING], **filters) == sorted(ids[1::2], reverse=True)
    assert await pages(caller, [DELIVERED], **filters) == []
