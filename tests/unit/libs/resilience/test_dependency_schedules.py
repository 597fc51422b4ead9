"""Any schedule of calls that work, fail, hang or are cancelled: no place is lost, and no two probes get through."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.resilience.circuit import CircuitState
from libs.resilience.dependency import Dependency
from libs.resilience.errors import DependencyError, Outcome
from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict

AT_ONCE, WAITING = 3, 2
LIMITS = DependencyLimits(
    at_once_max=AT_ONCE, waiting_max=WAITING, failures_max=2, open_ms=1_000, return_ms=0, attempts_max=1
)
DOWN = Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)


class FailedError(Exception):
    pass


class Peer:
    """Answers as each call's fate has it, when it is let go."""

    def __init__(self, dependency: Dependency) -> None:
        self.dependency = dependency
        self.under_way: list[tuple[asyncio.Future[bool], CircuitState]] = []
        self.most = self.most_probes = 0

    async def ask(self) -> bool:
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (answered, self.dependency.state)
        self.under_way.append(entry)
        self.most = max(self.most, len(self.under_way))
        probes = sum(state is CircuitState.HALF_OPEN for _, state in self.under_way)
        self.most_probes = max(self.most_probes, probes)
        try:
            if not await answered:
                raise FailedError
        finally:
            self.under_way.remove(entry)
        return True


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


STEPS = st.one_of(
    st.tuples(st.just("call"), st.just(0)),
    st.tuples(st.sampled_from(["work", "fail", "cancel"]), st.integers(0, 7)),
    st.tuples(st.just("wait"), st.sampled_from([400, 1_000])),
)


async def run(steps: list[tuple[str, int]]) -> None:
    now_s = [0.0]
    dependency = Dependency(
        "peer", LIMITS, lambda error: DOWN if isinstance(error, FailedError) else None, lambda: now_s[0]
    )
    peer, tasks = Peer(dependency), list[asyncio.Task[bool]]()
    for step, number in steps:
        if step == "call":
            tasks.append(asyncio.create_task(dependency.call(peer.ask)))
        elif step == "wait":
            now_s[0] += number / 1_000
        elif step == "cancel":
            if alive := [task for task in tasks if not task.done()]:
                alive[number % len(alive)].cancel()
        elif peer.under_way:
            answered = peer.under_way[number % len(peer.under_way)][0]
            if not answered.done():
                answered.set_result(step == "work")
        await settled()
        assert len(peer.under_way) <= AT_ONCE
        assert sum(not task.done() for task in tasks) <= AT_ONCE + WAITING
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert peer.most_probes <= 1
    assert all(r is True or isinstance(r, DependencyError | asyncio.CancelledError) for r in results), results
    # Whatever happened, nothing is held: once it is up, as many as may be get through at once.
    now_s[0] += 10
    await asyncio.gather(answer(peer), dependency.call(peer.ask))
    calls = [asyncio.create_task(dependency.call(peer.ask)) for _ in range(AT_ONCE)]
    await settled()
    assert len(peer.under_way) == AT_ONCE
    for answered, _ in peer.under_way:
        answered.set_result(True)
    assert await asyncio.gather(*calls) == [True] * AT_ONCE


async def answer(peer: Peer) -> None:
    while not peer.under_way:
        await asyncio.sleep(0)
    peer.under_way[0][0].set_result(True)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=150)
def test_no_schedule_loses_a_place_or_lets_two_probes_through(steps: list[tuple[str, int]]) -> None:
    asyncio.run(run(steps))
