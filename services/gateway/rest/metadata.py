"""What a request says to the service that answers it, as gRPC metadata, and what the answer's metadata says in HTTP."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from libs.cache import reuse
from libs.cache.reuse import Reusable
from libs.grpc_server.call import Origin
from services.gateway.auth.credentials import Caller
from services.gateway.rest.problems import ProblemError, refuse

_IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
_CONSISTENCY_TOKEN = re.compile(r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}$")
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
CONSISTENCY_TOKEN = "consistency-token"  # noqa: S105 - the name of a header
_ANSWER_HEADERS = {
    CONSISTENCY_TOKEN: "Consistency-Token",
    "idempotent-replayed": "Idempotent-Replayed",
    "answer-source": "Lastmile-Source",
    "answer-age-ms": "Lastmile-Age-Ms",
}


def metadata_of(request: Request, request_id: str, caller: Caller) -> list[tuple[str, str]]:
    """Return what a service is told of a request; raise the ProblemError 400 of a header that is none."""
    metadata = [("x-request-id", request_id)]
    if caller.token is not None:
        metadata.append(("authorization", f"Bearer {caller.token}"))
    for name, pattern, said in (
        ("idempotency-key", _IDEMPOTENCY_KEY, "must be 1 to 255 visible ASCII characters"),
        (CONSISTENCY_TOKEN, _CONSISTENCY_TOKEN, "is not a token that an answer carried"),
        ("traceparent", _TRACEPARENT, ""),
    ):
        value = request.headers.get(name)
        if value is None:
            continue
        if pattern.match(value):
            metadata.append((name, value))
        elif said:
            raise bad_header(name, said)
    return metadata


def text_of(metadata: Any) -> dict[str, str]:
    """Return the metadata of an answer that is text."""
    return {str(key): value for key, value in metadata or () if isinstance(value, str)}


def headers_of(trailing: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that an answer's metadata become."""
    headers = {name: trailing[key] for key, name in _ANSWER_HEADERS.items() if key in trailing}
    if "answer-age-ms" in trailing:
        headers["Age"] = str(int(trailing["answer-age-ms"]) // 1000)
    return headers


def headers_of_origin(origin: Origin) -> dict[str, str]:
    """Return the headers of an answer that no service was asked for."""
    headers = {"Lastmile-Source": origin.source}
    if origin.age_ms is not None:
        headers["Lastmile-Age-Ms"], headers["Age"] = str(origin.age_ms), str(origin.age_ms // 1000)
    return headers


def reusable_of(trailing: Mapping[str, str]) -> Reusable | None:
    """Return until when an answer may be given again; None where its service does not say."""
    return Reusable.of(trailing.get(reuse.METADATA, ""))


def bad_header(name: str, said: str) -> ProblemError:
    """Return the refusal of a header."""
    return refuse(400, "INVALID_ARGUMENT", f"{name}: {said}", (name, said, "header.form"))
