"""What the relay refuses to go on with, and what its RPCs answer.

RelayError                  an outage is none of these: it waits for that to end
├── SlotLostError           the replication slot is gone or invalid: events may be missing from the streams
├── StreamsLostError        Redis has lost the streams that it had kept
└── StreamsAheadError       the streams have ids that the log has not reached: everything would be refused as a replay

NotFoundError
└── ConsumerNotFoundError, DeadLetterNotFoundError
FailedPreconditionError
└── ConsumerAliveError
UnavailableError
└── StreamsUnavailableError
"""

from libs.grpc_server.errors import FailedPreconditionError, NotFoundError, ServiceError, UnavailableError
from libs.streams.outages import REDIS_AWAY

RUNBOOK = "docs/runbooks/relay-slot-lost.md"


class RelayError(RuntimeError):
    """Somebody has to decide; the message says what happened and where the steps are."""

    exit_code = 1


class SlotLostError(RelayError):
    """The replication slot is gone or invalid: events may be missing from the streams."""

    exit_code = 3

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. Events may be missing from the streams, so nothing is published. See {RUNBOOK}")


class StreamsLostError(RelayError):
    """Redis has lost the streams that it had kept."""

    exit_code = 4

    def __init__(self, epoch: int) -> None:
        super().__init__(
            f"Redis has lost the streams of epoch {epoch}, which it had kept. What consumers had not read may be "
            f"missing, so nothing is published. See {RUNBOOK}"
        )


class StreamsAheadError(RelayError):
    """The streams have ids that the log has not reached: everything would be refused as a replay."""

    exit_code = 5

    def __init__(self, stream: str, entry_id: str, end_lsn: int) -> None:
        super().__init__(
            f"{stream} has the id {entry_id}, and the log ends at {end_lsn}: something else filled the stream, or the "
            "log is of another cluster. What is committed would be taken for replays, so nothing is published. "
            f"See {RUNBOOK}"
        )


class ConsumerNotFoundError(NotFoundError):
    """No consumer of this name ever started, or it was retired."""

    reason = "CONSUMER_NOT_FOUND"


class DeadLetterNotFoundError(NotFoundError):
    """The consumer has no such dead letter; it may have been replayed."""

    reason = "DEAD_LETTER_NOT_FOUND"


class ConsumerAliveError(FailedPreconditionError):
    """A process of the consumer lives."""

    reason = "CONSUMER_ALIVE"


class StreamsUnavailableError(UnavailableError):
    """Redis does not answer; the same request may succeed later."""

    reason = "STREAMS_UNAVAILABLE"


def translate(error: Exception) -> ServiceError | None:
    """Return the error for the caller, or None for a bug of ours."""
    if isinstance(error, REDIS_AWAY):
        return StreamsUnavailableError("the streams cannot be reached; try again")
    return None
