"""How pictures are kept."""

from pydantic import BaseModel, ConfigDict, Field


class PictureLimits(BaseModel):
    """The limits of the matcher's pictures of its cities."""

    model_config = ConfigDict(frozen=True)

    read_events_max: int = Field(1_000, gt=0, description="Events of a city taken from its stream at once")
    read_wait_ms: int = Field(1_000, gt=0, description="Longest wait for an event before the stream is looked at")
    check_every_s: float = Field(1.0, gt=0, description="A busy stream is looked at for lost entries after this")
    overlap_events: int = Field(
        1_000, ge=0, description="Events before a snapshot that are compared with it: their commits may not be in it"
    )
    redis_timeout_s: float = Field(5.0, gt=0, description="Redis is away when it answers later than this")
    without_events_s: float = Field(
        2.0, gt=0, description="Without events, a city is read from the database again after this"
    )
    reads_at_once_max: int = Field(4, gt=0, description="Whole cities read from the database at once, by a matcher")
    # A slot without events is confirmed every ten seconds.
    lag_s_max: float = Field(
        30.0, gt=0, description="What was committed and is not published after this tells that no events come"
    )
    reconcile_s: float = Field(60.0, gt=0, description="Time between comparisons of a picture with the database")
    reconcile_wait_s: float = Field(
        30.0, gt=0, description="Longest wait for the events that explain a difference from the database"
    )
    unseen_tries: int = Field(5, ge=0, description="Reads of what an event tells of before the database shows it")
