import asyncio
import contextlib

import pytest

from libs.resilience.circuit import CircuitState
from libs.resilience.dependency import Dependency
from libs.resilience.errors import (
    AttemptTimeoutError,
    BulkheadFullError,
    CallFailedError,
    CircuitOpenError,
    DeadlineExceededError,
    Outcome,
)
from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict

QUICK = DependencyLimits(
    deadline_ms=5_000, attempt_ms=2_000, wait_ms_max=2_000, backoff_ms=1, backoff_ms_max=2, failures_max=100
)


class NotSentError(Exception):
    pass


class MaybeError(Exception):
    pass


class FatalError(Exception):
    pass


class NoError(Exception):
    pass


class BusyError(Exception):
    pass


VERDICTS: dict[type[Exception], Verdict] = {
    NotSentError: Verdict(counts=True, retryable=True, outcome=Outcome.CERTAINLY_NOT),
    MaybeError: Verdict(counts=True, retryable=True, outcome=Outcome.UNKNOWN),
    FatalError: Verdict(counts=True, retryable=False, outcome=Outcome.CERTAINLY_NOT),
    NoError: Verdict(counts=False, retryable=False, outcome=Outcome.CERTAINLY_NOT),
    BusyError: Verdict(counts=False, retryable=True, outcome=Outcome.CERTAINLY_NOT, retry_after_ms=60_000),
}


def made(**limits: object) -> Dependency:
    return Dependency("peer", QUICK.model_copy(update=limits), lambda error: VERDICTS.get(type(error)))


class Peer:
    """Answers with its script, then with its number of calls."""

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.calls = 0

    async def ask(self, said: str) -> str:
        self.calls += 1
        if self.script:
            raise self.script.pop(0)
        return f"{said} {self.calls}"


async def test_what_fails_is_tried_again_and_its_answer_is_given() -> None:
    peer = Peer(NotSentError(), MaybeError())
    assert await made().call(peer.ask, "hello") == "hello 3"


async def test_attempts_end_and_the_last_error_is_the_cause_with_what_all_attempts_came_to() -> None:
    for script, outcome in (
        ((NotSentError(), NotSentError(), NotSentError()), Outcome.CERTAINLY_NOT),
        ((MaybeError(), NotSentError(), NotSentError()), Outcome.UNKNOWN),
        ((FatalError(),), Outcome.CERTAINLY_NOT),
    ):
        with pytest.raises(CallFailedError) as caught:
            await made().call(Peer(*script).ask, "hello")
        assert (caught.value.attempts, caught.value.outcome) == (len(script), outcome)
        assert caught.value.__cause__ is caught.value.cause is script[-1]


async def test_a_no_is_given_as_it_is_unless_an_earlier_attempt_may_have_worked() -> None:
    no = NoError()
    with pytest.raises(NoError) as caught:
        await made().call(Peer(no).ask, "hello")
    assert caught.value is no
    with pytest.raises(CallFailedError) as failed:
        await made().call(Peer(MaybeError(), no).ask, "hello")
    assert (failed.value.cause, failed.value.outcome) == (no, Outcome.UNKNOWN)


async def test_an_error_that_nobody_knows_passes_through_once_and_opens_nothing() -> None:
    dependency = made(failures_max=1)
    peer = Peer(ZeroDivisionError(), TimeoutError())
    for kind in (ZeroDivisionError, TimeoutError):
        with pytest.raises(kind):
            await dependency.call(peer.ask, "hello")
    assert (peer.calls, dependency.state) == (2, CircuitState.CLOSED)


async def test_who_is_told_to_come_later_than_the_deadline_fails_at_once_and_knows_when() -> None:
    peer = Peer(BusyError())
    with pytest.raises(CallFailedError) as caught:
        await made().call(peer.ask, "hello")
    assert (peer.calls, caught.value.retry_after_ms, caught.value.outcome) == (1, 60_000, Outcome.CERTAINLY_NOT)


async def test_retries_are_a_share_of_calls() -> None:
    dependency, peer = (
        made(retry_share_max=0.1, retries_saved_max=5, failures_max=10_000),
        Peer(*[NotSentError() for _ in range(10_000)]),
    )
    for _ in range(1_000):
        with pytest.raises(CallFailedError):
            await dependency.call(peer.ask, "hello")
    assert 1_000 + 95 <= peer.calls <= 1_000 + 106


async def test_the_circuit_opens_under_retries_and_the_error_that_opened_it_is_not_masked() -> None:
    dependency, last = made(failures_max=2), NotSentError("the second")
    with pytest.raises(CallFailedError) as caught:
        await dependency.call(Peer(NotSentError(), last).ask, "hello")
    assert caught.value.cause is last
    assert dependency.state is CircuitState.OPEN
    peer = Peer()
    with pytest.raises(CircuitOpenError) as refused:
        await dependency.call(peer.ask, "hello")
    assert refused.value.certainly_did_not_happen
    assert (refused.value.retry_after_ms or 0) > 0
    assert peer.calls == 0


async def test_an_attempt_that_hangs_is_ended_counts_and_leaves_the_outcome_unknown() -> None:
    dependency = made(attempt_ms=20, failures_max=1)

    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(CallFailedError) as caught:
        await dependency.call(hang)
    assert isinstance(caught.value.cause, AttemptTimeoutError)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert dependency.state is CircuitState.OPEN


async def test_a_deadline_that_cuts_an_attempt_short_says_nothing_of_the_dependency() -> None:
    dependency, begun = made(failures_max=1), asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceededError) as caught:
        await dependency.call(hang, deadline_ms=50)
    assert begun.is_set()
    assert caught.value.outcome is Outcome.UNKNOWN
    assert dependency.state is CircuitState.CLOSED


async def test_a_deadline_in_the_line_is_certainly_not() -> None:
    dependency, hold = made(at_once_max=1), asyncio.Event()
    first = asyncio.create_task(dependency.call(hold.wait))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceededError) as caught:
        await dependency.call(hold.wait, deadline_ms=20)
    assert caught.value.certainly_did_not_happen
    hold.set()
    await first


async def test_beyond_those_under_way_and_those_in_line_calls_are_refused_at_once() -> None:
    dependency, hold = made(at_once_max=3, waiting_max=2), asyncio.Event()
    under_way = 0

    async def work() -> int:
        nonlocal under_way
        under_way += 1
        await hold.wait()
        return under_way

    tasks = [asyncio.create_task(dependency.call(work)) for _ in range(8)]
    while sum(task.done() for task in tasks) < 3:
        await asyncio.sleep(0)
    assert under_way == 3
    assert all(isinstance(task.exception(), BulkheadFullError) for task in tasks if task.done())
    hold.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 5


async def test_cancelled_calls_count_as_nothing_and_leave_their_turns() -> None:
    dependency = made(at_once_max=2, failures_max=1)
    for _ in range(10):
        task = asyncio.create_task(dependency.call(asyncio.Event().wait))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert dependency.state is CircuitState.CLOSED
    assert await dependency.call(Peer().ask, "hello") == "hello 1"


async def test_of_many_callers_at_a_half_open_circuit_one_gets_through() -> None:
    now_s = [0.0]
    dependency = Dependency(
        "peer",
        QUICK.model_copy(update={"failures_max": 1, "attempts_max": 1}),
        lambda error: VERDICTS.get(type(error)),
        lambda: now_s[0],
    )
    with pytest.raises(CallFailedError):
        await dependency.call(Peer(FatalError()).ask, "hello")
    assert not dependency.is_probe_due
    now_s[0] += 10
    assert dependency.is_probe_due
    peer, hold = Peer(), asyncio.Event()

    async def slow() -> str:
        answer = await peer.ask("hello")
        await hold.wait()
        return answer

    tasks = [asyncio.create_task(dependency.call(slow)) for _ in range(20)]
    while sum(task.done() for task in tasks) < 19:
        await asyncio.sleep(0)
    assert peer.calls == 1
    hold.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 19
    assert dependency.state is CircuitState.RETURNING
    assert dependency.share == pytest.approx(0.1)
