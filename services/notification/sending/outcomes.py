"""What becomes of a message after an attempt: pure, so that promise 5 can be read in one place.

Invariant: a message whose attempt may have been sent goes to nobody else, and back to nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from services.notification.messages.lifecycle import MessageState

_JITTER = 0.2


class AttemptEnd(StrEnum):
    """How an attempt ended."""

    TAKEN = "taken"
    # Answered with a no that stays one.
    REJECTED = "rejected"
    # The provider was asked in vain, and has certainly not sent it.
    NOT_SENT = "not_sent"
    # The provider was not even asked: its circuit is open, or as much is under way as may be.
    NOT_ASKED = "not_asked"
    UNKNOWN = "unknown"


# What nothing more is done about here.
_ENDS = {
    AttemptEnd.TAKEN: MessageState.SENT,
    AttemptEnd.REJECTED: MessageState.FAILED,
    AttemptEnd.UNKNOWN: MessageState.OUTCOME_UNKNOWN,
}


class RetryLimits(BaseModel):
    """How often what was certainly not sent is tried again."""

    model_config = ConfigDict(frozen=True)

    delays_s: tuple[float, ...] = Field(
        (5, 30, 120, 600, 1_800), min_length=1, max_length=20,
        description="Waits after the rounds through all providers that failed, the first of them first",
    )  # fmt: skip
    not_asked_s: float = Field(
        2.0, gt=0, description="Wait until providers that could not be asked are thought of again"
    )
    not_asked_s_max: float = Field(
        600.0, gt=0, description="The same for a message that has waited so long that a quarter of its age is longer"
    )
    busy_s: float = Field(0.2, gt=0, description="Wait for a receiver that has as much under way as it may")
    busy_s_max: float = Field(
        30.0, gt=0, description="The same for a message that has waited so long that an eighth of its age is longer"
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """A message with the attempt that has ended. `rounds` is how often all providers were asked in vain."""

    provider: str
    route: Sequence[str]
    refused_by: frozenset[str]
    rounds: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Next:
    """What the message becomes. The rest matters only to what is planned again."""

    state: MessageState
    reason: str = ""
    send_after: datetime | None = None
    refused_by: frozenset[str] = frozenset()
    rounds: int = 0


def after(end: AttemptEnd, reason: str, tried: Tried, now: datetime, chance: float, limits: RetryLimits) -> Next:
    """Return what a message becomes; `chance`, from 0 to 1, spreads what failed together."""
    if end in _ENDS:
        return Next(_ENDS[end], reason)
    refused = tried.refused_by | {tried.provider}
    if any(name not in refused for name in tried.route):
        return Next(MessageState.PLANNED, reason, now, refused, tried.rounds)
    if end is AttemptEnd.NOT_ASKED:
        return _again(reason, tried, now + timedelta(seconds=limits.not_asked_s), tried.rounds)
    if tried.rounds >= len(limits.delays_s):
        return Next(MessageState.FAILED, reason)
    wait_s = limits.delays_s[tried.rounds] * (1 + _JITTER * chance)
    return _again(reason, tried, now + timedelta(seconds=wait_s), tried.rounds + 1)


def put_off_s(age_s: float, chance: float, limits: RetryLimits, *, is_busy: bool) -> float:
    """Return how long a message waits that nobody can be asked to send now, or whose receiver is busy with others.

    The longer it has waited, the more seldom it is thought of: what waits by the thousand costs little. `chance`, from
    0 to 1, spreads what came together.
    """
    if is_busy:
        wait_s = min(max(age_s / 8, limits.busy_s), limits.busy_s_max)
    else:
        wait_s = min(max(age_s / 4, limits.not_asked_s), limits.not_asked_s_max)
    return wait_s * (1 + _JITTER * chance)


def _again(reason: str, tried: Tried, at: datetime, rounds: int) -> Next:
    if at >= tried.expires_at:
        return Next(MessageState.FAILED, reason)
    return Next(MessageState.PLANNED, reason, at, frozenset(), rounds)
