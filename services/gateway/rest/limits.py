"""The limits of the REST side."""

from pydantic import BaseModel, ConfigDict, Field


class RestLimits(BaseModel):
    """The limits of the REST side."""

    model_config = ConfigDict(frozen=True)

    body_bytes_max: int = Field(4 * 1024 * 1024, gt=0, description="Largest request body")
    anonymous_body_bytes_max: int = Field(16 * 1024, gt=0, description="Largest body of a call without a credential")
    bodies_bytes_max: int = Field(128 * 1024 * 1024, gt=0, description="All large bodies that are being worked on")
    url_chars_max: int = Field(8_192, gt=0, description="Longest path with query")
    body_timeout_s: float = Field(20.0, gt=0, description="A body must be here within this")
    timeout_ms_default: int = Field(10_000, gt=0, description="Deadline of a call whose caller states none")
    timeout_ms_min: int = Field(500, gt=0, description="Nearest deadline a caller may state: a read may wait this long")
    timeout_ms_max: int = Field(60_000, gt=0, description="Latest deadline a caller may state")
    remembered_bytes_max: int = Field(
        32 * 1024 * 1024, ge=0, description="Answers that may be given again without asking the service; 0 keeps none"
    )
    outdated_ms_max: int = Field(
        2_000, ge=0, description="Such an answer that something outdated is given until it is this old; 0: not at all"
    )
    reads_at_once_max: int = Field(
        64, gt=0, description="Reads that a service is asked at once; commands are never counted, nor wait for them"
    )
    reads_waiting_max: int = Field(2_000, ge=0, description="Reads that may wait for their turn to be asked")
    read_wait_ms_max: int = Field(2_000, ge=0, description="Longest wait of a read for its turn")
    channels: int = Field(2, gt=0, description="gRPC channels to each service")
    response_bytes_max: int = Field(32 * 1024 * 1024, gt=0, description="Largest answer of a service")
