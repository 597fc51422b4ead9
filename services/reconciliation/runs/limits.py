"""The limits of runs, and what runs judge by where nobody says otherwise."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.reconciliation.runs.schedule import parse


class RunLimits(BaseModel):
    """By what runs are opened."""

    model_config = ConfigDict(frozen=True)

    tolerance_paise: int = Field(0, ge=0, le=1_000_000, description="What amounts may differ by and be the same")
    tolerance_min: int = Field(
        2_880, ge=0, le=100_000, description="How far a payment without a reference may be from its hand-over"
    )
    payout_due_min: int = Field(
        1_440,
        ge=0,
        le=1_000_000,
        description="When after its hand-over a payout is missing: more than a week where partners are paid weekly",
    )
    chunk_rows: int = Field(50_000, gt=0, description="Entries or lines of a chunk, about")
    chunks_max: int = Field(1_000, gt=0, description="Most chunks of a run")
    settle_s: float = Field(
        5.0, ge=0, description="How old entries are that a run looks at: younger ones may be written still"
    )
    overlap_s: float = Field(
        300.0,
        ge=0,
        description="How far back a run looks for entries that were being written while the last was opened",
    )


class WorkerLimits(BaseModel):
    """How a worker works."""

    model_config = ConfigDict(frozen=True)

    schedule: str = Field("every 300s", description="When runs are opened: never, every 300s, daily 01:30+05:30")
    chunks_at_once: int = Field(2, gt=0, description="Chunks that a process does at once, each over its own connection")
    poll_s: float = Field(1.0, gt=0, description="How often is looked for work where there is none")
    lease_ttl_s: float = Field(
        5.0, gt=0, description="When a chunk is taken over whose worker is gone; one that works on keeps it locked"
    )
    attempts_max: int = Field(8, gt=0, description="Attempts of a chunk's state, after which it is quarantined")
    backoff_first_s: float = Field(
        0.5, gt=0, description="Wait after the first attempt that failed; twice as long then"
    )
    backoff_longest_s: float = Field(60.0, gt=0, description="Longest wait after one")
    tell_every_s: float = Field(1.0, gt=0, description="How often an event tells how far a run is, at most")
    batches_max: int = Field(
        12,
        gt=0,
        description="In how many payout batches, from its own cycle's on, is looked for the one that pays a leg",
    )
    passes_max: int = Field(
        100,
        gt=0,
        description="How often a rule that settles the nearest is asked for more; what is left is the next run's",
    )

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, value: str) -> str:
        parse(value)
        return value
