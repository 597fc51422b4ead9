"""The limits of the cache of one process."""

from pydantic import BaseModel, ConfigDict, Field


class LinkLimits(BaseModel):
    """How long Redis is waited for, and how much may be asked of it at once."""

    model_config = ConfigDict(frozen=True)

    redis_timeout_ms: int = Field(250, gt=0, description="Redis is away when it answers later than this")
    redis_retry_ms: int = Field(250, gt=0, description="Time between tries of a Redis that is away")
    asks_waiting_max: int = Field(5_000, gt=0, description="Commands that may wait for the connection to Redis")


class CacheLimits(LinkLimits):
    """How much is kept, how long is waited, and how many queries go past a cache that is away."""

    enabled: bool = Field(True, description="Off: every query goes to the standby")
    entry_bytes_max: int = Field(256 * 1024, gt=0, description="A larger answer is not kept")
    kept_bytes_max: int = Field(
        32 * 1024 * 1024, gt=0, description="Answers that this process keeps in Redis at once; more are not kept"
    )
    negative_ms: int = Field(2_000, ge=0, description="How long is remembered that there is no such thing")
    stale_ms: int = Field(
        1_000, ge=0, description="An answer that has been outdated for no longer is given while one refresh runs"
    )
    refresh_ms_max: int = Field(2_000, gt=0, description="After this another process may refresh the same answer")
    refresh_poll_ms: int = Field(10, gt=0, description="Time between looks for an answer that another process makes")
    refreshes_max: int = Field(64, gt=0, description="Answers that are refreshed at once beside those being waited for")
    readers_waiting_max: int = Field(2_000, gt=0, description="Calls that may wait for an answer that is being made")
    uncached_per_s_max: int = Field(
        300, ge=1, description="Queries in a second that go to the standby while Redis is away; more are refused"
    )
    tag_ttl_s: int = Field(
        1_800, gt=0, description="What is known of changes is kept this long: longer than the longest window"
    )
