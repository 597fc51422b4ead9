"""What a dependency may cost, and when it counts as down."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DependencyLimits(BaseModel):
    """The limits of the calls that one process makes of one dependency."""

    model_config = ConfigDict(frozen=True)

    deadline_ms: int = Field(10_000, gt=0, description="Longest time of a call, its wait and its retries included")
    attempt_ms: int = Field(2_000, gt=0, description="Longest time of one attempt")
    at_once_max: int = Field(32, gt=0, description="Calls under way at once")
    waiting_max: int = Field(64, ge=0, description="Calls that may wait for their turn; more are refused at once")
    wait_ms_max: int = Field(1_000, gt=0, description="Longest wait for a turn")
    attempts_max: int = Field(3, gt=0, description="Attempts of a call, the first included")
    backoff_ms: int = Field(100, gt=0, description="A retry waits a random time up to this; it doubles each time")
    backoff_ms_max: int = Field(2_000, gt=0, description="A retry waits no longer than this, unless it is told to")
    retry_share_max: float = Field(0.1, ge=0, le=1, description="Retries are at most this share of calls")
    retries_saved_max: int = Field(10, ge=1, description="Retries that calls without any leave for a bad moment")
    failures_max: int = Field(5, gt=0, description="Failures in a row that open the circuit")
    open_ms: int = Field(5_000, gt=0, description="Time until an open circuit lets a probe through")
    probes_min: int = Field(1, gt=0, description="Probes that must succeed, one at a time, to close the circuit")
    return_ms: int = Field(10_000, ge=0, description="Time in which a closed circuit returns to all calls")
    return_share_min: float = Field(0.1, gt=0, le=1, description="Share of calls that is let through at first")

    @model_validator(mode="after")
    def _one_whole_attempt_fits(self) -> Self:
        if self.deadline_ms < self.wait_ms_max + self.attempt_ms:
            raise ValueError("deadline_ms must hold wait_ms_max and one attempt_ms")
        return self
