"""What a query is told when it cannot be answered now.

UnavailableError
├── CacheAwayQueriesError    retry: Redis is away, and the standby takes only so many queries without it
└── ReadersTooManyError      retry: too many wait for answers that are being made
"""

from google.rpc import error_details_pb2, status_pb2

from libs.grpc_server.errors import NotFoundError, UnavailableError


class CacheAwayQueriesError(UnavailableError):
    """The cache is away, and more queries come in than the standby takes without it."""

    reason = "CACHE_AWAY"

    def __init__(self) -> None:
        super().__init__("the cache is away, and the database answers only so many queries without it; try again")


class ReadersTooManyError(UnavailableError):
    """More calls wait for answers that are being made than may."""

    reason = "READERS_TOO_MANY"

    def __init__(self) -> None:
        super().__init__("too many calls wait for answers that are being made; try again")


def remembered_not_found(raw: bytes) -> NotFoundError:
    """Return the error whose serialized status was kept."""
    status = status_pb2.Status.FromString(raw)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return NotFoundError(status.message, reason=info.reason, metadata=dict(info.metadata))
