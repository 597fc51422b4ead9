"""The one way to call something that another company runs.

From the outside in: deadline, bulkhead, retries under a budget, circuit, time limit of the attempt.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from libs.resilience import metrics
from libs.resilience.budget import RetryBudget
from libs.resilience.circuit import Change, Circuit, CircuitState
from libs.resilience.errors import (
    AttemptTimeoutError,
    BulkheadFullError,
    CallFailedError,
    CircuitOpenError,
    DeadlineExceededError,
    Outcome,
)
from libs.resilience.limits import DependencyLimits
from libs.resilience.recent import Recent, RecentCalls
from libs.resilience.turns import Turns
from libs.resilience.verdict import TIMED_OUT, Classify, Verdict
from libs.telemetry import error_text

Result = TypeVar("Result")
Args = TypeVarTuple("Args")


class _FailedAttemptError(Exception):
    """An attempt failed as the adapter knows."""

    def __init__(self, error: Exception, verdict: Verdict) -> None:
        super().__init__(error)
        self.error = error
        self.verdict = verdict


@dataclass(slots=True)
class _Call:
    """How far a call is."""

    deadline_s: float
    attempts: int = 0
    # Whether some attempt may have taken effect.
    unknown: bool = False
    last: _FailedAttemptError | None = field(default=None)

    @property
    def outcome(self) -> Outcome:
        return Outcome.UNKNOWN if self.unknown else Outcome.CERTAINLY_NOT


class Dependency:
    """A named dependency: its calls in this process share its limits and its circuit.

    `classify` says of an error of an attempt what it means; one that it does not know passes through, and tells
    nothing of the dependency.
    """

    def __init__(
        self, name: str, limits: DependencyLimits, classify: Classify, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.limits = limits
        self._classify = classify
        self._listeners: list[Callable[[Change], None]] = []
        self._circuit = Circuit(name, limits, now_s, self._changed)
        self._recent = Recent(now_s)
        self._turns = Turns(limits.at_once_max, limits.waiting_max, limits.wait_ms_max, lambda: BulkheadFullError(name))
        self._budget = RetryBudget(limits.retry_share_max, limits.retries_saved_max)
        self._jitter = wait_random_exponential(
            multiplier=limits.backoff_ms / 1000, max=limits.backoff_ms_max / 1000, exp_base=2
        )
        self._under_way = metrics.UNDER_WAY.labels(name)
        self._attempt_seconds = metrics.ATTEMPT_SECONDS.labels(name)
        metrics.SHARE.labels(name).set(1)

    @property
    def state(self) -> CircuitState:
        """The state of its circuit."""
        return self._circuit.settle()

    @property
    def share(self) -> float:
        """The share of calls that its circuit lets through, from 0 to 1: its health."""
        share = self._circuit.share()
        metrics.SHARE.labels(self.name).set(share)
        return share

    @property
    def is_probe_due(self) -> bool:
        """Whether the next call would probe it. What is down heals only by a call: make one, if no other comes."""
        return self._circuit.is_probe_due()

    @property
    def room(self) -> int:
        """How many calls would begin at once: only one where the next would be a probe."""
        if self.state in (CircuitState.CLOSED, CircuitState.RETURNING):
            return self._turns.left
        return 1 if self.is_probe_due else 0

    @property
    def recent(self) -> RecentCalls:
        """What its attempts of the last seconds came to."""
        return self._recent.summary()

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Have `listener` told of each change of the circuit, at once and in this process; it must not wait."""
        self._listeners.append(listener)

    def open_as_told(self, cause: str) -> None:
        """Open the circuit because another process found the dependency down."""
        self._circuit.open_as_told(cause)

    async def call(
        self, function: Callable[[*Args], Awaitable[Result]], *args: *Args, deadline_ms: int | None = None
    ) -> Result:
        """Call `function(*args)`, and again where its failures are worth it, until `deadline_ms` at most.

        Raises DependencyError (which says whether the call certainly did not happen), or an error of the function that
        the adapter calls an answer or does not know. Cancellation is neutral: it tells nothing of the dependency.
        """
        limit_s = min(self.limits.deadline_ms, deadline_ms or self.limits.deadline_ms) / 1000
        call = _Call(asyncio.get_running_loop().time() + limit_s)
        self._budget.called()
        result = "cancelled"
        self._under_way.inc()
        try:
            async with asyncio.timeout(limit_s) as deadline, self._turns.turn():
                value = await self._until_it_works(call, lambda: function(*args))
            result = "ok"
        except TimeoutError as error:
            if not deadline.expired():
                result = "passed_through"
                raise
            result = "deadline"
            raise DeadlineExceededError(self.name, call.outcome) from (call.last.error if call.last else error)
        except Exception as error:
            result = _RESULTS.get(type(error), "passed_through")
            raise
        finally:
            self._under_way.dec()
            metrics.CALLS.labels(self.name, result).inc()
        return value

    async def _until_it_works(self, call: _Call, run: Callable[[], Awaitable[Result]]) -> Result:
        try:
            return await self._attempt(call, run)
        except _FailedAttemptError as failure:
            first: list[_FailedAttemptError] = [failure]

        async def again() -> Result:
            # Setting tenacity up costs more than most calls: it is entered with what has failed already.
            if first:
                raise first.pop()
            metrics.RETRIES.labels(self.name).inc()
            return await self._attempt(call, run)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_FailedAttemptError),
            wait=self._wait_s,
            stop=lambda state: self._is_over(call, state),
            reraise=True,
        )
        try:
            return await retrying(again)
        except _FailedAttemptError as failure:
            raise self._told(call, failure) from failure.error
        except CircuitOpenError as error:
            # It opened after the first attempt.
            if call.last is None:
                raise
            raise self._failed(call, call.last, error.retry_after_ms) from call.last.error

    async def _attempt(self, call: _Call, run: Callable[[], Awaitable[Result]]) -> Result:
        admission = self._circuit.admit()
        unknown_before, call.unknown = call.unknown, True
        call.attempts += 1
        counted = self._recent.begin()
        try:
            with self._attempt_seconds.time():
                async with asyncio.timeout(self.limits.attempt_ms / 1000) as limit:
                    value = await run()
        except Exception as raised:
            error = raised
            if isinstance(raised, TimeoutError) and limit.expired():
                error = AttemptTimeoutError(self.limits.attempt_ms)
            verdict = self._classify(error) or (TIMED_OUT if isinstance(error, AttemptTimeoutError) else None)
            if verdict is not None and verdict.counts:
                self._circuit.failed(admission, error_text(error))
                self._recent.end(counted, answered=not isinstance(error, TimeoutError), failed=True)
            else:
                self._circuit.withdrawn(admission)
                self._recent.withdraw(counted)
            if verdict is None:
                raise
            call.unknown = unknown_before or verdict.outcome is Outcome.UNKNOWN
            call.last = _FailedAttemptError(error, verdict)
            raise call.last from raised
        except BaseException:
            # Cancelled: by the caller or by its deadline, which says nothing of the dependency.
            self._circuit.withdrawn(admission)
            self._recent.withdraw(counted)
            raise
        self._circuit.succeeded(admission)
        self._recent.end(counted, answered=True, failed=False)
        return value

    def _wait_s(self, state: RetryCallState) -> float:
        """Return a random time below a bound that doubles; or what the dependency asked for, if that is longer."""
        wait_s = self._jitter(state)
        told_ms = _failure_of(state).verdict.retry_after_ms
        return wait_s if told_ms is None else max(wait_s, told_ms / 1000)

    def _is_over(self, call: _Call, state: RetryCallState) -> bool:
        """Whether there is no retry. One that could not have its whole time would say nothing: it is not begun."""
        if not _failure_of(state).verdict.retryable or call.attempts >= self.limits.attempts_max:
            return True
        left_s = call.deadline_s - asyncio.get_running_loop().time()
        if state.upcoming_sleep + self.limits.attempt_ms / 1000 > left_s:
            return True
        if not self._budget.take():
            metrics.NOT_RETRIED.labels(self.name).inc()
            return True
        return False

    def _told(self, call: _Call, failure: _FailedAttemptError) -> Exception:
        """Return what the caller gets. A no is as good as an answer, unless an earlier attempt may have worked."""
        if failure.verdict.is_answer and not call.unknown:
            return failure.error
        return self._failed(call, failure, failure.verdict.retry_after_ms)

    def _failed(self, call: _Call, failure: _FailedAttemptError, retry_after_ms: int | None) -> CallFailedError:
        return CallFailedError(self.name, call.attempts, failure.error, call.outcome, retry_after_ms)

    def _changed(self, change: Change) -> None:
        metrics.CHANGES.labels(self.name, change.state).inc()
        metrics.SHARE.labels(self.name).set(self._circuit.share())
        for listener in self._listeners:
            listener(change)


_RESULTS = {
    CircuitOpenError: "circuit_open",
    BulkheadFullError: "bulkhead_full",
    CallFailedError: "failed",
}


def _failure_of(state: RetryCallState) -> _FailedAttemptError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, _FailedAttemptError):
        raise TypeError("only failed attempts are tried again")
    return error
