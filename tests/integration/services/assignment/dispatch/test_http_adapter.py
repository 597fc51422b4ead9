"""The HTTP adapter against the sandbox network over real sockets, with each of its faults."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from cli.sandbox.behaviour import Behaviour, Faults
from cli.sandbox.http_server import serving
from cli.sandbox.network import SandboxNetwork
from libs.resilience.dependency import Dependency
from libs.resilience.errors import AttemptTimeoutError, CallFailedError, Outcome
from libs.resilience.limits import DependencyLimits
from services.assignment.dispatch.adapters.base import GarbledAnswerError, NetworkRefusedError, Reply
from services.assignment.dispatch.adapters.http import HttpNetwork
from services.assignment.dispatch.mapping import CallMapping
from services.assignment.dispatch.network import NetworkConfig, NetworkMapping

LIMITS = DependencyLimits(attempt_ms=9_000, attempts_max=1, failures_max=1_000)
VALUES = {"offer_id": "o1", "delivery_id": "d1", "partner_id": "p1", "needs_answer": True}


@asynccontextmanager
async def network(
    mapping: NetworkMapping | None = None, **faults: Any
) -> AsyncIterator[tuple[SandboxNetwork, HttpNetwork, Dependency]]:
    sandbox = SandboxNetwork(Behaviour(answers=False, faults=Faults(**faults)), Random(1), None)
    limits = LIMITS.model_copy(update={"attempt_ms": 1_000}) if "hang_share" in faults else LIMITS
    async with serving(sandbox.answer, "127.0.0.1", 0) as port:
        config = NetworkConfig(
            code="lent",
            base_url=f"http://127.0.0.1:{port}",
            limits=limits,
            answer_bytes_max=10_000,
            mapping=mapping or NetworkMapping(),
        )
        async with HttpNetwork(config, 1.0) as adapter:
            yield sandbox, adapter, Dependency("network:lent", limits, adapter.verdict)
        await sandbox.close()


async def test_an_offer_its_end_and_what_happened_are_told() -> None:
    async with network() as (sandbox, adapter, dependency):
        for _ in range(2):
            assert await dependency.call(adapter.offer, VALUES, "o1:offer") is Reply.TAKEN_NOTE
        await dependency.call(adapter.end, VALUES | {"reason": "OFFER_EXPIRED"}, "o1:end")
        await dependency.call(adapter.ping)
        record = sandbox.record()
        known = record["offers"]["o1"]
        assert (known["told"], known["ended"], known["reason"], record["repeated"]) == (1, 1, "OFFER_EXPIRED", 1)
        # What it has never heard of is over for it.
        await dependency.call(adapter.end, VALUES | {"offer_id": "o2", "reason": "X"}, "o2:end")
        page = await dependency.call(adapter.poll, "")
        assert (list(page.updates), page.cursor) == ([], "0")


async def test_an_offer_that_the_network_does_not_take_is_refused() -> None:
    async with network() as (_, adapter, dependency):
        with pytest.raises(NetworkRefusedError):
            await dependency.call(adapter.offer, VALUES | {"offer_id": None}, "key")


async def test_a_path_that_is_wrong_is_an_outage_and_not_the_refusal_of_an_offer() -> None:
    wrong = NetworkMapping(health=CallMapping(method="GET", path="/helth"))
    async with network(wrong) as (_, adapter, dependency):
        with pytest.raises(CallFailedError, match="/helth answers 404") as caught:
            await dependency.call(adapter.ping)
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    ("fault", "cause", "outcome"),
    [
        ("hang_share", AttemptTimeoutError, Outcome.UNKNOWN),
        ("reset_share", Exception, Outcome.UNKNOWN),
        ("reset_after_share", Exception, Outcome.UNKNOWN),
        ("error_share", Exception, Outcome.UNKNOWN),
        ("garbage_share", GarbledAnswerError, Outcome.UNKNOWN),
        ("busy_share", Exception, Outcome.CERTAINLY_NOT),
    ],
)
async def test_each_fault_is_known_for_what_it_leaves_open(
    fault: str, cause: type[Exception], outcome: Outcome
) -> None:
    async with network(**{fault: 1.0}) as (sandbox, adapter, dependency):
        with pytest.raises(CallFailedError) as caught:
            await dependency.call(adapter.offer, VALUES, "o1:offer")
        assert isinstance(caught.value.cause, cause)
        assert caught.value.outcome is outcome
        if fault == "busy_share":
            assert caught.value.retry_after_ms == 1_000
        assert ("o1" in sandbox.record()["offers"]) == (fault in {"reset_after_share", "garbage_share"})


async def test_a_network_that_is_not_there_has_certainly_not_heard() -> None:
    async with network() as (_, adapter, dependency):
        pass
    config = NetworkConfig(code="lent", base_url="http://127.0.0.1:1", limits=LIMITS)
    async with HttpNetwork(config, 1.0) as adapter:
        dependency = Dependency("network:lent", LIMITS, adapter.verdict)
        with pytest.raises(CallFailedError) as caught:
            await dependency.call(adapter.offer, VALUES, "key")
    assert caught.value.certainly_did_not_happen
