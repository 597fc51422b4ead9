"""Timestamps between protobuf and datetime."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def datetime_of(proto: Timestamp) -> datetime:
    """Return the moment of a timestamp that Lastmile itself has written."""
    return _EPOCH + timedelta(seconds=proto.seconds, microseconds=proto.nanos // 1_000)


def timestamp(at: datetime) -> Timestamp:
    """Return a datetime as the protobuf type."""
    since = at - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)
