"""Timestamps between protobuf and datetime, with the ones that are no moment refused by name."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from libs.grpc_server.errors import FieldViolation

# What PostgreSQL and every client can hold, and far beyond any delivery.
EARLIEST_S = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
LATEST_S = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def datetime_of(proto: Timestamp) -> datetime:
    """Return the moment of a timestamp that Lastmile itself has written."""
    return EPOCH + timedelta(seconds=proto.seconds, microseconds=proto.nanos // 1_000)


def from_timestamp(proto: Timestamp, field: str, violations: list[FieldViolation]) -> datetime | None:
    """Return the moment, or None after adding to `violations` that it is none or lies outside 2000 to 2200."""
    if not 0 <= proto.nanos < 1_000_000_000:
        violations.append(FieldViolation(field, "is not a moment in time", "timestamp.valid"))
        return None
    if not EARLIEST_S <= proto.seconds < LATEST_S:
        violations.append(FieldViolation(field, "must lie between the years 2000 and 2200", "timestamp.range"))
        return None
    return EPOCH + timedelta(seconds=proto.seconds, microseconds=proto.nanos // 1_000)
