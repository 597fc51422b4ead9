from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from libs.grpc_server.errors import MESSAGE_BYTES_MAX, FieldViolation, InvalidArgumentError, NotFoundError

# What a gRPC client takes of all trailers by default; the others that we send need less than the rest.
TRAILERS_BYTES_MAX, OTHERS_BYTES = 8_192, 400


def bad_request_of(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad)
    return info, bad


def test_a_short_error_says_everything() -> None:
    error = InvalidArgumentError.of(FieldViolation("a.b", "must be positive", "gt"), FieldViolation("c", "is no", "x"))
    info, bad = bad_request_of(error.status())
    assert error.status().message == "a.b: must be positive; c: is no"
    assert [(v.field, v.reason) for v in bad.field_violations] == [("a.b", "gt"), ("c", "x")]
    assert dict(info.metadata) == {}


def test_an_error_with_many_violations_says_how_many_it_leaves_out() -> None:
    violations = [FieldViolation(f"packages[{place}].pickup", "value is required", "required") for place in range(100)]
    info, bad = bad_request_of(InvalidArgumentError.of(*violations).status())
    named = len(bad.field_violations)
    assert 40 < named < 100
    assert info.metadata["violations_omitted"] == str(100 - named)


@given(count=st.integers(0, 100), text=st.text(max_size=2_000))
def test_a_status_always_fits_into_what_a_client_takes(count: int, text: str) -> None:
    violations = [FieldViolation(f"rows[{place}].details", text[:300], "rule") for place in range(count)]
    for error in (InvalidArgumentError.of(*violations), NotFoundError(text, metadata={"id": text[:255]})):
        status = error.status()
        encoded = sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in status.message.encode())
        assert encoded <= MESSAGE_BYTES_MAX
        assert encoded + status.ByteSize() * 4 // 3 <= TRAILERS_BYTES_MAX - OTHERS_BYTES
