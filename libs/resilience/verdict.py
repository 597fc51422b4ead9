"""What an adapter says of an error: only it knows what its dependency means."""

from collections.abc import Callable
from dataclasses import dataclass

from libs.resilience.errors import Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error of an attempt means.

    `counts` is whether the dependency is to blame: what does not count is neutral, and neither opens its circuit nor
    helps to close it. `retryable` is whether doing it again is right, and harmless. `outcome` is that of this attempt.
    """

    counts: bool
    retryable: bool
    outcome: Outcome
    retry_after_ms: int | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the dependency did its part and said no: the caller gets the error as it is."""
        return not self.counts and not self.retryable and self.outcome is Outcome.CERTAINLY_NOT


# None: the error is none of the dependency's, and passes through as it is.
Classify = Callable[[Exception], Verdict | None]
# An attempt that took too long, where the adapter says nothing of it.
TIMED_OUT = Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)
