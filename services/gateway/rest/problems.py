"""Errors as RFC 9457 problem+json: from gRPC status with google.rpc details, or from the gateway itself."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_CODES = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# Reasons that HTTP has a better word for than their code.
_REASONS = {"IDEMPOTENCY_KEY_REUSED": 422, "PROBLEM_TOO_LARGE": 413, "WEBHOOK_TOO_LARGE": 413}
_RETRYABLE = frozenset({429, 503, 504})
RETRY_AFTER_S_DEFAULT = 1
# A detail is read by people; a program reads the errors.
ERRORS_SAID_MAX = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is an error. `errors` are (field, description, rule)."""

    status: int
    reason: str
    detail: str
    errors: tuple[tuple[str, str, str], ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    retry_after_s: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.retry_after_s is not None or self.status in _RETRYABLE


class ProblemError(Exception):
    """Raised where a request is refused; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse(status: int, reason: str, detail: str, *errors: tuple[str, str, str], **headers: str) -> ProblemError:
    """Make the error of a refusal by the gateway itself."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    retry_after_s = RETRY_AFTER_S_DEFAULT if status in _RETRYABLE else None
    return ProblemError(Problem(status, reason, detail, errors, retry_after_s=retry_after_s, headers=named))


def problem_of(error: grpc.aio.AioRpcError) -> Problem:
    """Translate an RPC's status with its details."""
    trailing: dict[Any, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]  # it is iterable
    status = status_pb2.Status()
    raw = trailing.get("grpc-status-details-bin", b"")
    if isinstance(raw, bytes):
        status.ParseFromString(raw)
    reason, metadata, retry_after_s = error.code().name, {}, None
    errors: list[tuple[str, str, str]] = []
    for detail in status.details:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            errors += [(json_path(v.field), v.description, v.reason) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after_s = max(1, retry.retry_delay.seconds)
    code = _REASONS.get(reason) or _CODES.get(error.code(), 500)
    if code in _RETRYABLE and retry_after_s is None:
        retry_after_s = RETRY_AFTER_S_DEFAULT
    detail_text = error.details() or _title(code)
    if code == 503 and not status.details:
        detail_text = "a service that the answer needs does not answer; try again"
    if code >= 500 and code not in _RETRYABLE and not status.details:
        detail_text = "internal error; quote the request id"
    if errors:
        detail_text = detail_of(errors, int(metadata.get("violations_omitted", "0")))
    headers = {"WWW-Authenticate": "Bearer"} if code == 401 else {}
    return Problem(code, reason, detail_text, tuple(errors), metadata, retry_after_s, headers)


def status_of(code: grpc.StatusCode) -> int:
    """Return the HTTP status of a gRPC code."""
    return _CODES.get(code, 500)


def detail_of(errors: Sequence[tuple[str, str, str]], omitted: int = 0) -> str:
    """Return what is wrong in one text: the first few errors, with the names that fields have in JSON."""
    said = [f"{field}: {description}" if field else description for field, description, _ in errors[:ERRORS_SAID_MAX]]
    more = len(errors) - len(said) + omitted
    return "; ".join([*said, f"and {more} more"] if more else said)


def json_path(path: str) -> str:
    """Return a field's path with the names that it has in JSON; a map's keys, in quotes, stay as they are."""
    return re.sub(r"('[^']*')|_([a-z0-9])", lambda match: match[1] or match[2].upper(), path)


def _title(status: int) -> str:
    # 499 is what proxies call a client that did not wait; the standard has no word for it.
    return "Client Closed Request" if status == 499 else HTTPStatus(status).phrase


def response_of(problem: Problem, request_id: str, path: str) -> Response:
    """Return the problem as a response."""
    content: dict[str, object] = {
        "type": f"/problems/{problem.reason.lower().replace('_', '-')}",
        "title": _title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "reason": problem.reason,
        "requestId": request_id,
        "retryable": problem.retryable,
        "errors": [{"field": f, "description": d, "rule": r} for f, d, r in problem.errors],
        "metadata": problem.metadata,
    }
    headers = dict(problem.headers)
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    return Response(json.dumps(content), problem.status, headers, MEDIA_TYPE)
