"""The limits of one consumer."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ConsumerLimits(BaseModel):
    """How much of what a consumer does at once, and how long it waits."""

    model_config = ConfigDict(frozen=True)

    tasks_max: int = Field(4, ge=1, le=10_000, description="Batches handled at once")
    batch_events_max: int = Field(200, ge=1, le=100_000, description="Events of one batch")
    read_events_max: int = Field(500, ge=1, le=100_000, description="Events of one stream taken by one read")
    queued_events_max: int = Field(5_000, ge=1, description="Events that wait here; reading pauses above it")
    read_block_ms: int = Field(500, ge=1, le=10_000, description="Longest wait of a read for new events")
    handle_timeout_s: float = Field(30.0, gt=0, description="A batch that takes longer has failed")
    attempts_max: int = Field(5, ge=1, description="An event that failed this often by itself goes to the dead letters")
    backoff_s_min: float = Field(0.1, gt=0, description="First wait before another attempt, at most; then it doubles")
    backoff_s_max: float = Field(10.0, gt=0, description="Longest wait before another attempt")
    retries_at_once_max: int = Field(100, ge=1, description="Aggregates whose events are tried again at once")
    dead_letters_max: int = Field(100_000, ge=1, description="Dead letters kept of each city; then the oldest goes")
    lease_ttl_s: float = Field(6.0, gt=0, description="A city goes to another process this long after a death")
    lease_renew_s: float = Field(1.5, gt=0, description="Time between renewals of the leases")
    sweep_s: float = Field(30.0, gt=0, description="Time between searches for entries that nobody works on")
    connections_max: int = Field(8, ge=2, description="Connections to Redis of each consumer")
    redis_timeout_s: float = Field(15.0, gt=0, description="Redis is away when it answers later than this")
    outage_wait_s: float = Field(0.5, gt=0, description="Wait after a failure of Redis, before the next try")
    drain_s: float = Field(10.0, gt=0, description="How long batches that have begun may take to end after a stop")

    @model_validator(mode="after")
    def _in_time(self) -> "ConsumerLimits":
        if self.read_block_ms / 1000 >= self.redis_timeout_s or self.lease_renew_s * 2 > self.lease_ttl_s:
            raise ValueError("a read must end before redis_timeout_s, and lease_ttl_s be two renewals at least")
        return self
