"""Circuits shared by processes through a real Redis: each board here stands for a process."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from uuid import uuid4

import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.resilience.board import BoardLimits, CircuitBoard, read_board
from libs.resilience.circuit import CircuitState
from libs.resilience.dependency import Dependency
from libs.resilience.errors import CallFailedError, Outcome
from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict
from tests.consumers import until

LIMITS = BoardLimits(beat_ms=20, life_ms=60_000, retry_ms=20, block_ms=200, redis_timeout_ms=10_000)
DOWN = Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)


def dependency(name: str, return_ms: int = 1_000) -> Dependency:
    limits = DependencyLimits(failures_max=1, open_ms=100, return_ms=return_ms)
    return Dependency(name, limits, lambda error: DOWN if isinstance(error, OSError) else None)


async def fail(peer: Dependency, why: str = "refused") -> None:
    async def refuse() -> None:
        raise OSError(why)

    with pytest.raises(CallFailedError):
        await peer.call(refuse)


async def answer() -> str:
    return "yes"


@asynccontextmanager
async def process(url: str, *shared: Dependency, limits: BoardLimits = LIMITS) -> AsyncIterator[str]:
    name = uuid4().hex
    board = CircuitBoard(url, name, limits)
    for one in shared:
        board.add(one)
    running = asyncio.create_task(board.run())
    try:
        yield name
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_what_one_process_finds_down_is_known_to_all_and_each_heals_by_its_own_probe(
    embedded_servers: EmbeddedServers,
) -> None:
    url, name = embedded_servers.redis_url, f"peer-{uuid4().hex}"
    # Long enough to be seen, however seldom this process gets to look.
    first, second = dependency(name, 4_000), dependency(name, 4_000)
    async with redis.from_url(url) as client, process(url, first) as one, process(url, second) as two:

        async def states() -> dict[str, CircuitState]:
            return {r.process: r.state for r in await read_board(client, LIMITS) if r.dependency == name}

        async def told(expected: dict[str, CircuitState]) -> bool:
            return await states() == expected

        await until(lambda: told({one: CircuitState.CLOSED, two: CircuitState.CLOSED}))
        await fail(first)
        await until(lambda: told({one: CircuitState.OPEN, two: CircuitState.OPEN}))
        await until(lambda: second.is_probe_due)
        assert await second.call(answer) == "yes"
        await until(lambda: told({one: CircuitState.OPEN, two: CircuitState.RETURNING}))
        await until(lambda: first.is_probe_due)
        # That its own probe fails is its own business.
        await fail(first)
        await until(lambda: told({one: CircuitState.OPEN, two: CircuitState.CLOSED}))
        reports = [r for r in await read_board(client, LIMITS) if r.dependency == name]
        assert {r.process: (r.share, r.cause) for r in reports}[one] == (0.0, "OSError: refused")


async def test_a_process_that_starts_learns_what_is_down(embedded_servers: EmbeddedServers) -> None:
    url, name = embedded_servers.redis_url, f"peer-{uuid4().hex}"
    first, second = dependency(name), dependency(name)
    async with redis.from_url(url) as client, process(url, first):
        await fail(first)

        async def told() -> bool:
            return any(r.dependency == name and r.state == "open" for r in await read_board(client, LIMITS))

        await until(told)
        async with process(url, second):
            await until(lambda: second.state is CircuitState.OPEN)


async def test_a_process_that_is_gone_is_forgotten(embedded_servers: EmbeddedServers) -> None:
    url, name = embedded_servers.redis_url, f"peer-{uuid4().hex}"
    short = LIMITS.model_copy(update={"life_ms": 200})
    async with redis.from_url(url) as client:

        async def known() -> int:
            return sum(r.dependency == name for r in await read_board(client, short))

        async with process(url, dependency(name), limits=short):
            await until(lambda: _equal(known, 1))
        await until(lambda: _equal(known, 0))


async def test_without_redis_circuits_go_by_what_their_process_finds_out_and_are_told_when_it_is_back(
    embedded_servers: EmbeddedServers,
) -> None:
    url, name = embedded_servers.redis_url, f"peer-{uuid4().hex}"
    first, second = dependency(name), dependency(name)
    slow = LIMITS.model_copy(update={"redis_timeout_ms": 100})
    async with redis.from_url(url) as client, process(url, first, limits=slow), process(url, second, limits=slow):
        await until(lambda: _equal(lambda: _known(client, name), 2))
        embedded_servers.kill("valkey", signal.SIGSTOP)
        try:
            await fail(first)
            assert first.state is CircuitState.OPEN
            assert second.state is CircuitState.CLOSED
        finally:
            embedded_servers.kill("valkey", signal.SIGCONT)
        await until(lambda: second.state is not CircuitState.CLOSED)


async def test_what_a_newer_process_says_besides_is_passed_over(embedded_servers: EmbeddedServers) -> None:
    url, name = embedded_servers.redis_url, f"peer-{uuid4().hex}"
    peer = dependency(name)
    async with redis.from_url(url) as client, process(url, peer) as own:
        await until(lambda: _equal(lambda: _known(client, name), 1))
        (known,) = [report for report in await read_board(client, LIMITS) if report.dependency == name]
        newer = asdict(known) | {"process": "newer", "state": "open", "spreads": True, "mood": "bad"}
        newer["recent"] |= {"best_ms": 1}
        told_ms = (await client.time())[0] * 1000
        await client.hset("lastmile:{circuits}:now", f"newer/{name}", f"{told_ms} {json.dumps(newer)}")
        await client.xadd("lastmile:{circuits}:changes", {"change": json.dumps(newer)})
        await until(lambda: peer.state is CircuitState.OPEN)
        told = {report.process: report.state for report in await read_board(client, LIMITS)}
    assert (told["newer"], own in told) == (CircuitState.OPEN, True)


async def test_an_opening_that_was_over_before_it_could_be_told_opens_no_other_circuit(
    embedded_servers: EmbeddedServers,
) -> None:
    url, name = embedded_servers.redis_url, f"peer-{uuid4().hex}"
    first, second = dependency(name), dependency(name)
    slow = LIMITS.model_copy(update={"redis_timeout_ms": 100})
    async with redis.from_url(url) as client, process(url, first, limits=slow), process(url, second, limits=slow):
        await until(lambda: _equal(lambda: _known(client, name), 2))
        causes: list[str] = []
        second.on_change(lambda change: causes.append(change.cause))
        embedded_servers.kill("valkey", signal.SIGSTOP)
        try:
            await fail(first)
            await until(lambda: first.is_probe_due)
            assert await first.call(answer) == "yes"
            # What it has sent so far, Redis has yet to read.
            await asyncio.sleep(3 * slow.redis_timeout_ms / 1000)
        finally:
            embedded_servers.kill("valkey", signal.SIGCONT)
        await until(lambda: first.state is CircuitState.CLOSED)
        await until(lambda: _ends_with(client, name, "closed"))
        # Whoever hears of this has heard of what was told before.
        await fail(first, "refused again")
        await until(lambda: second.state is not CircuitState.CLOSED)
    assert causes == ["OSError: refused again"]


async def _ends_with(client: redis.Redis, name: str, state: str) -> bool:
    """Whether that is the last change of a dependency that all were told."""
    changes = [json.loads(fields[b"change"]) for _, fields in await client.xrange("lastmile:{circuits}:changes")]
    return [change["state"] for change in changes if change["dependency"] == name][-1:] == [state]


async def _known(client: redis.Redis, name: str) -> int:
    return sum(report.dependency == name for report in await read_board(client, LIMITS))


async def _equal(count: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await count() == expected
