"""How a call of something that another company runs ends badly.

DependencyError                  outcome: whether the call certainly did not happen
├── RefusedError                 nothing was sent: certainly did not happen
│   ├── CircuitOpenError         the dependency is down, is being probed, or is returning and takes a share only
│   └── BulkheadFullError        as many calls as may be are under way, and as many as may be wait
├── DeadlineExceededError        the caller's time is over; unknown as soon as an attempt had begun
└── CallFailedError              every attempt failed; its cause is the last error, the outcome that of all attempts

AttemptTimeoutError              one attempt took too long: what the adapter classifies, and a cause of the last

An error that the adapter does not know, or calls an answer, passes through as it is.
"""

from enum import StrEnum

from libs.telemetry import error_text


class Outcome(StrEnum):
    """What is known of a call that failed: only one that certainly did not happen may be made elsewhere."""

    CERTAINLY_NOT = "certainly_not"
    UNKNOWN = "unknown"


class DependencyError(Exception):
    """A call failed. `retry_after_ms` is when to come again, where that is known."""

    def __init__(self, dependency: str, said: str, outcome: Outcome, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{dependency}: {said}")
        self.dependency = dependency
        self.outcome = outcome
        self.retry_after_ms = retry_after_ms

    @property
    def certainly_did_not_happen(self) -> bool:
        """Whether the same may be asked of another dependency without being done twice."""
        return self.outcome is Outcome.CERTAINLY_NOT


class RefusedError(DependencyError):
    """Nothing was sent."""

    def __init__(self, dependency: str, said: str, retry_after_ms: int | None = None) -> None:
        super().__init__(dependency, said, Outcome.CERTAINLY_NOT, retry_after_ms)


class CircuitOpenError(RefusedError):
    """The dependency is down, is being probed, or returns and has its share already."""

    def __init__(self, dependency: str, state: str, retry_after_ms: int) -> None:
        super().__init__(dependency, f"its circuit is {state}", retry_after_ms)
        self.state = state


class BulkheadFullError(RefusedError):
    """Too many calls are under way or wait, or one waited for too long."""

    def __init__(self, dependency: str) -> None:
        super().__init__(dependency, "as many calls as may be are under way")


class DeadlineExceededError(DependencyError):
    """The time that the caller gave is over."""

    def __init__(self, dependency: str, outcome: Outcome) -> None:
        super().__init__(dependency, "the deadline has passed", outcome)


class CallFailedError(DependencyError):
    """Every attempt failed; `cause` is the error of the last."""

    def __init__(
        self, dependency: str, attempts: int, cause: Exception, outcome: Outcome, retry_after_ms: int | None
    ) -> None:
        said = f"{attempts} attempts failed: {error_text(cause)}"
        super().__init__(dependency, said, outcome, retry_after_ms)
        self.attempts = attempts
        self.cause = cause


class AttemptTimeoutError(TimeoutError):
    """An attempt did not end in its time."""

    def __init__(self, attempt_ms: int) -> None:
        super().__init__(f"no answer within {attempt_ms} ms")
