"""Timestamps between protobuf and datetime, with the ones that are no moment refused by name."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from libs.grpc_server.errors import FieldViolation

# What PostgreSQL and every client can hold, and far beyond any delivery.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(at: datetime) -> Timestamp:
    """Return a datetime as the protobuf type."""
    since = at - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def datetime_of(proto: Timestamp) -> datetime:
    """Return the moment of a timestamp that has no problem."""
    return _EPOCH + timedelta(seconds=proto.seconds, microseconds=proto.nanos // 1_000)


def problems_of(proto: Timestamp, field: str) -> list[FieldViolation]:
    """Return what is wrong with a caller's timestamp: no moment, or not between the years 2000 and 2200."""
    if not 0 <= proto.nanos < 1_000_000_000:
        return [FieldViolation(field, "is not a moment in time", "timestamp.valid")]
    if not EARLIEST.timestamp() <= proto.seconds < LATEST.timestamp():
        return [FieldViolation(field, "must lie between the years 2000 and 2200", "timestamp.range")]
    return []
