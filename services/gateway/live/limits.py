"""The limits of live events."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class LiveLimits(BaseModel):
    """How many follow the events, how far back, and how long anything may take."""

    model_config = ConfigDict(frozen=True)

    followers_max: int = Field(2_000, ge=1, description="Streams open in this process at once")
    followers_of_caller_max: int = Field(100, ge=1, description="Streams of one caller in this process at once")
    retry_after_s: int = Field(5, ge=1, description="When a caller that was refused for a limit may come again")
    reconnect_ms: int = Field(2_000, ge=1, description="How long a client waits before it connects again")
    heartbeat_s: float = Field(15.0, gt=0, description="A stream without events says this often that it lives")
    queued_events_max: int = Field(1_000, ge=1, description="Events that wait for a slow client before its stream ends")
    recent_events_max: int = Field(10_000, ge=1, description="Events kept here: who resumes within them asks no Redis")
    resumed_events_max: int = Field(
        200_000, ge=1, description="Events read through for a client that was away; beyond it has to load anew"
    )
    resumes_at_once_max: int = Field(4, ge=1, description="Clients that were away for long, read for at once")
    read_events_max: int = Field(500, ge=1, le=100_000, description="Events of all streams taken by one read, about")
    read_block_ms: int = Field(1_000, ge=1, le=10_000, description="Longest wait of a read for new events")
    redis_timeout_s: float = Field(5.0, gt=0, description="Redis is away when it answers later than this")
    outage_wait_s: float = Field(0.5, gt=0, description="Wait after a failure of Redis, before the next try")
    credential_check_s: float = Field(2.0, gt=0, description="How often it is asked whether a credential still holds")
    credential_unknown_s_max: float = Field(
        60.0, gt=0, description="A stream goes on this long while no database can say whether its credential holds"
    )
    resumable: bool = Field(
        True, description="False where something else than the relay fills the streams: ids are no positions then"
    )

    @model_validator(mode="after")
    def _in_time(self) -> "LiveLimits":
        if self.read_block_ms / 1000 >= self.redis_timeout_s:
            raise ValueError("a read must end before redis_timeout_s")
        return self
