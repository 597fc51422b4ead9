"""What the relay refuses to go on with. An outage is none of these: it waits for that to end.

RelayError
├── SlotLostError      the replication slot is gone or invalid: events may be missing from the streams
└── StreamsLostError   Redis has lost the streams that it had kept
"""

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
