"""The base of every service's error tree, and its translation to google.rpc.Status.

ServiceError
├── InvalidArgumentError      fix the request        INVALID_ARGUMENT
├── NotFoundError             fix the request        NOT_FOUND
├── AlreadyExistsError        fix the request        ALREADY_EXISTS
├── PermissionDeniedError     fix the credential     PERMISSION_DENIED
├── UnauthenticatedError      fix the credential     UNAUTHENTICATED
├── FailedPreconditionError   fix the state first    FAILED_PRECONDITION
├── AbortedError              retry                  ABORTED
├── ResourceExhaustedError    retry later            RESOURCE_EXHAUSTED
└── UnavailableError          retry later            UNAVAILABLE
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from urllib.parse import quote

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "lastmile"
# A status travels in HTTP/2 trailers, of which a client takes 8 KiB by default: beyond that it sees another error.
MESSAGE_BYTES_MAX = 1_000
DETAILS_BYTES_MAX = 3_600
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
RETRY_AFTER_S_DEFAULT = 1.0


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks a rule: its path from the request, what is wrong, and the rule's stable name."""

    field: str
    description: str
    rule: str


class ServiceError(Exception):
    """An answer that is an error: a status code, a stable reason, a message for people, and what a program needs."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"
    retry_after_s: float | None = None

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        super().__init__(message)
        self.message = _shortened(message)
        self.reason = reason or type(self).reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)

    def status(self) -> status_pb2.Status:
        """Return the error as google.rpc.Status with ErrorInfo, and BadRequest or RetryInfo where they apply."""
        bad = self._bad_request()
        metadata = self.metadata
        if len(bad.field_violations) < len(self.violations):
            metadata = metadata | {"violations_omitted": str(len(self.violations) - len(bad.field_violations))}
        details: list[Message] = [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=metadata)]
        if self.violations:
            details.append(bad)
        if self.retry_after_s is not None:
            delay = Duration()
            delay.FromMilliseconds(int(self.retry_after_s * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        packed = []
        for detail in details:
            wrapper = Any()
            wrapper.Pack(detail)
            packed.append(wrapper)
        return status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)

    def _bad_request(self) -> error_details_pb2.BadRequest:
        """Return the violations, as many as a status may carry."""
        bad = error_details_pb2.BadRequest()
        bytes_left = DETAILS_BYTES_MAX
        for violation in self.violations:
            field_violation = _violation(violation)
            bytes_left -= field_violation.ByteSize() + 3
            if bytes_left < 0:
                break
            bad.field_violations.append(field_violation)
        return bad


def _wire_bytes(text: str) -> int:
    """Return what a text is in a trailer, where each byte that is not printable ASCII becomes three."""
    return len(quote(text, safe=_PRINTABLE))


def _shortened(message: str) -> str:
    """Return the message cut to what a status may carry."""
    if _wire_bytes(message) <= MESSAGE_BYTES_MAX:
        return message
    sizes = accumulate(_wire_bytes(character) for character in message)
    return message[: sum(1 for _ in takewhile(lambda size: size <= MESSAGE_BYTES_MAX - 4, sizes))] + " ..."


def _violation(violation: FieldViolation) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(
        field=violation.field, description=violation.description, reason=violation.rule
    )


class InvalidArgumentError(ServiceError):
    """The request breaks a rule; sending it again unchanged fails again."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    @classmethod
    def of(cls, *violations: FieldViolation) -> "InvalidArgumentError":
        """Make the error from its violations, and its message from theirs."""
        return cls("; ".join(f"{v.field}: {v.description}" for v in violations), violations=violations)


class NotFoundError(ServiceError):
    """There is no such thing, or the caller may not know of it."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExistsError(ServiceError):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class PermissionDeniedError(ServiceError):
    """The caller is known and may not."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class UnauthenticatedError(ServiceError):
    """The caller has shown no valid credential."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class FailedPreconditionError(ServiceError):
    """The state of things forbids it; something else must happen first."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class AbortedError(ServiceError):
    """Somebody else was faster; the same request may succeed next time."""

    code = grpc.StatusCode.ABORTED
    reason = "ABORTED"
    retry_after_s = RETRY_AFTER_S_DEFAULT


class ResourceExhaustedError(ServiceError):
    """A limit is reached; the same request may succeed later."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"
    retry_after_s: float | None = RETRY_AFTER_S_DEFAULT


class UnavailableError(ServiceError):
    """Something that the answer needs is down; the same request may succeed later."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"
    retry_after_s = RETRY_AFTER_S_DEFAULT
