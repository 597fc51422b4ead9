"""What a network is told of its offers, and of their ends, however it answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libs.resilience.dependency import Dependency
from libs.resilience.errors import Outcome
from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict
from services.assignment.dispatch.adapters.app import PartnerApp
from services.assignment.dispatch.adapters.base import NetworkRefusedError, Reply
from services.assignment.dispatch.sender import NetworkSender
from services.assignment.dispatch.settings import DispatchLimits
from services.assignment.dispatch.updates import NetworkUpdates
from tests.consumers import until
from tests.lending import Lending, Lent

LIMITS = DispatchLimits(look_ms=20, retry_ms_min=20, retry_ms_max=20)
REFUSED = Verdict(counts=False, retryable=False, outcome=Outcome.CERTAINLY_NOT)
NOT_SENT = Verdict(counts=False, retryable=True, outcome=Outcome.CERTAINLY_NOT)
LOST = Verdict(counts=False, retryable=False, outcome=Outcome.UNKNOWN)


class Network(PartnerApp):
    """A network that answers each call to make an offer as the test says, and notes the ends."""

    def __init__(self, *answers: Exception | Reply) -> None:
        self.answers = list(answers)
        self.ended: list[str] = []

    def verdict(self, error: Exception) -> Verdict | None:
        """Say what an error of a call means."""
        if isinstance(error, NetworkRefusedError):
            return REFUSED
        return NOT_SENT if isinstance(error, BlockingIOError) else LOST

    async def offer(self, values: Mapping[str, Any], key: str) -> Reply:
        """Answer as the test says."""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def end(self, values: Mapping[str, Any], key: str) -> None:
        """Note it."""
        self.ended.append(values["offer_id"])


@asynccontextmanager
async def sending(lending: Lending, network: Network, limits: DispatchLimits = LIMITS) -> AsyncIterator[None]:
    """A sender of the network."""
    dependency = Dependency(f"network:{lending.code}", DependencyLimits(attempts_max=1), network.verdict)
    updates = NetworkUpdates(lending.primary, lending.writer)
    sender = NetworkSender(lending.code, network, dependency, lending.primary, updates, limits)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_network_that_refuses_what_it_may_have_taken_before_is_told_that_it_is_over(
    lending: Lending, *, is_lost: bool
) -> None:
    lent = await lending.offer()
    refusal = NetworkRefusedError("/offers answers 409")
    network = Network(*([ConnectionResetError()] if is_lost else []), refusal)
    async with sending(lending, network):
        await until(lambda: _is(lending, lent, "pending"))
        await lending.hear()
        await until(lambda: _is_settled(lending, lent))
    assert network.ended == ([str(lent.offer_id)] if is_lost else [])


async def test_an_assignment_that_a_network_could_never_be_told_of_is_taken_back(lending: Lending) -> None:
    lent = await lending.offer(is_automatic=True)
    impatient = LIMITS.model_copy(update={"give_up_s": 0.001})
    async with sending(lending, Network(BlockingIOError()), impatient):
        await until(lambda: _is(lending, lent, "pending"))
        await lending.hear()
        await until(lambda: _is_given_up(lending, lent))
    assert (await lending.network_offer(lent))["told"] == "nothing"


async def _is_given_up(lending: Lending, lent: Lent) -> bool:
    known = await lending.network_offer(lent)
    return known["due_at"] is None and known["leased_until"] is None


async def _is(lending: Lending, lent: Lent, state: str) -> bool:
    return bool((await lending.delivery(lent))["state"] == state)


async def _is_settled(lending: Lending, lent: Lent) -> bool:
    known = await lending.network_offer(lent)
    return known["wish"] == "end" and known["due_at"] is None and known["leased_until"] is None
