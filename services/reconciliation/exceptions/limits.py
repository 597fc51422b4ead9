"""The limits of the desk."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

CASES_MAX = 500


class DeskLimits(BaseModel):
    """What one person may decide, and how much at once."""

    model_config = ConfigDict(frozen=True)

    approval_over_paise: int = Field(
        50_000, ge=0, description="What one operator may give up or take back at once; above it another approves"
    )
    tolerance_paise: int = Field(
        0, ge=0, le=1_000_000, description="What the sums of cases that belong together may differ by"
    )
    small_paise: int = Field(100, ge=0, description="Below it, writing off is suggested rather than asking")
    cases_max: int = Field(200, ge=1, le=CASES_MAX, description="Most cases of one command")
    age_days: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (1, 3, 7, 30), min_length=1, description="Days at which the buckets of cases' ages meet"
    )
    trail_rows_max: int = Field(500, gt=0, description="Rows of the audit trail that are shown of one case")
    verify_rows: int = Field(1_000, gt=0, description="Rows of the audit trail that are read at once to verify it")

    @field_validator("age_days")
    @classmethod
    def _ascends(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("the days ascend")
        return value


class WatchLimits(BaseModel):
    """How the ages of cases are watched."""

    model_config = ConfigDict(frozen=True)

    look_every_s: float = Field(60.0, gt=0, description="Time between looks at the ages of unresolved cases")
    age_days: tuple[int, ...] = Field((1, 3, 7, 30), min_length=1, description="Days at which the buckets meet")
    idempotency_key_days: int = Field(7, gt=0, description="An idempotency key is forgotten after this")
    keys_forgotten_at_once_max: int = Field(10_000, gt=0, description="Idempotency keys that one look forgets")
