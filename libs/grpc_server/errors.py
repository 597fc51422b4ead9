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

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "lastmile"
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
        self.message = message
        self.reason = reason or type(self).reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)

    def status(self) -> status_pb2.Status:
        """Return the error as google.rpc.Status with ErrorInfo, and BadRequest or RetryInfo where they apply."""
        details: list[Message] = [
            error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        ]
        if self.violations:
            details.append(error_details_pb2.BadRequest(field_violations=[_violation(v) for v in self.violations]))
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
