"""What a network that is polled tells, page by page, and dispatchers that die in between."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.resilience.dependency import Dependency
from libs.resilience.limits import DependencyLimits
from services.assignment.dispatch import store
from services.assignment.dispatch.adapters.app import PartnerApp
from services.assignment.dispatch.adapters.base import Page
from services.assignment.dispatch.network import NetworkConfig
from services.assignment.dispatch.poller import NetworkPoller
from services.assignment.dispatch.settings import DispatchLimits
from services.assignment.dispatch.updates import NetworkUpdates
from tests.lending import Lending, Lent

LIMITS = DispatchLimits(pages_at_once_max=3)


class Pages(PartnerApp):
    """A network that has pages; the cursor is how many were read."""

    def __init__(self, pages: Sequence[Sequence[Any]]) -> None:
        self.pages = pages
        self.asked = 0

    async def poll(self, cursor: str) -> Page:
        """Return the page after those that were read, and an empty one after the last."""
        self.asked += 1
        read = int(cursor or "0")
        return Page(self.pages[read], str(read + 1)) if read < len(self.pages) else Page((), cursor)


def poller(lending: Lending, adapter: PartnerApp, stop: asyncio.Event | None = None) -> NetworkPoller:
    """A poller as each dispatcher has it."""
    dependency = Dependency(f"network:{lending.code}/updates", DependencyLimits(), lambda _: None)
    config = NetworkConfig(code=lending.code, poll_ms=10)
    updates = NetworkUpdates(lending.primary, lending.writer)
    return NetworkPoller(config, adapter, dependency, lending.primary, updates, LIMITS, stop or asyncio.Event())


def told(kind: str, lent: Lent, at: datetime) -> dict[str, Any]:
    """An update as the network has it."""
    return {"type": kind, "data": {"offer_id": str(lent.offer_id), "occurred_at": at.isoformat()}}


async def test_a_page_that_comes_again_after_a_dispatcher_died_in_it_happens_once(
    lending: Lending, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent, began = await lending.offer(), datetime.now(UTC)
    kinds = ("offer.accepted", "delivery.picked_up", "delivery.out_for_delivery", "delivery.attempt_failed")
    page = [told(kind, lent, began + timedelta(seconds=place)) for place, kind in enumerate(kinds)]
    keep, left = store.told_at, [4]

    async def keep_or_die(*arguments: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise ConnectionResetError
        await keep(*arguments)

    monkeypatch.setattr(store, "told_at", keep_or_die)
    with pytest.raises(ConnectionResetError):
        await poller(lending, Pages([page])).look()
    await poller(lending, Pages([page])).look()
    assert (await lending.delivery(lent))["attempts_failed"] == 1
    assert await lending.history(lent) == [
        "pending", "offered", "assigned", "picked_up", "out_for_delivery", "attempt_failed",
    ]  # fmt: skip


async def test_a_look_takes_so_many_pages_in_and_the_next_goes_on_from_there(lending: Lending) -> None:
    network = Pages([[]] * 5)
    made = poller(lending, network)
    asked = []
    for _ in range(3):
        await made.look()
        asked.append(network.asked)
    # The third look finds nothing new.
    assert asked == [3, 6, 7]


async def test_a_dispatcher_that_is_to_end_asks_for_no_further_page(lending: Lending) -> None:
    stop = asyncio.Event()

    class Ending(Pages):
        async def poll(self, cursor: str) -> Page:
            stop.set()
            return await super().poll(cursor)

    network = Ending([[]] * 5)
    await poller(lending, network, stop).look()
    assert network.asked == 1
