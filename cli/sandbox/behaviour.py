"""How a sandbox network behaves: what its partners do, and what goes wrong. All chance comes from its seed."""

from random import Random
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


class Faults(BaseModel):
    """What goes wrong: each share is that of calls, or of callbacks, that it happens to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: int = Field(0, ge=0, description="Each answer waits this long")
    hang_share: Share = Field(0.0, description="Answers that never come")
    reset_share: Share = Field(0.0, description="Connections that are reset instead")
    reset_after_share: Share = Field(0.0, description="Likewise, when what was asked has been done")
    busy_share: Share = Field(0.0, description="Answers 429 with Retry-After")
    retry_after_s: int = Field(1, ge=0, description="What that says")
    error_share: Share = Field(0.0, description="Answers 503")
    garbage_share: Share = Field(0.0, description="Answers 200 with what is no JSON")
    duplicate_share: Share = Field(0.0, description="Callbacks that are sent twice at once")
    reorder_share: Share = Field(0.0, description="Callbacks that wait until a later one was sent")

    @model_validator(mode="after")
    def _happen_one_at_a_time(self) -> Self:
        shares = (self.hang_share, self.reset_share, self.busy_share, self.error_share, self.garbage_share)
        if sum(shares) + self.reset_after_share > 1:
            raise ValueError("the shares of answers that go wrong are more than 1 together")
        return self

    def drawn(self, random: Random) -> str:
        """Return what happens to the next call: the name of a share, or "none"."""
        left = random.random()
        for name in ("hang", "reset", "reset_after", "busy", "error", "garbage"):
            left -= getattr(self, f"{name}_share")
            if left < 0:
                return name
        return "none"


class Behaviour(BaseModel):
    """What the network's partners do with offers, and what goes wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: bool = Field(True, description="Off: offers are answered by POST /control/updates alone")
    accept_share: Share = Field(1.0, description="Offers that are accepted; the others are rejected")
    answer_ms: int = Field(200, ge=0, description="Time until an offer is answered")
    delivers: bool = Field(True, description="What was accepted is picked up and delivered")
    step_ms: int = Field(500, ge=0, description="Time between the steps of that")
    faults: Faults = Field(Faults(), description="What goes wrong")
