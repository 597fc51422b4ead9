"""Conditional requests (RFC 9110, 13): who has an answer's content already is told so, without the content."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response


def tag_of(body: bytes) -> str:
    """Return the entity tag of a content."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def answer_of(request: Request, body: bytes, content_tag: str, headers: Mapping[str, str]) -> Response:
    """Return 200 with the content, or 304 to who names its tag in If-None-Match."""
    # Kept by nobody in between, and by a browser only to ask whether it is still so.
    told = {**headers, "ETag": content_tag, "Cache-Control": "private, no-cache"}
    if names(request.headers.get("if-none-match", ""), content_tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=told)
    return Response(body, HTTPStatus.OK, told, "application/json")


def names(given: str, content_tag: str) -> bool:
    """Return whether an If-None-Match names the tag."""
    # The weak comparison, as this header asks for.
    return any(named.strip().removeprefix("W/") in (content_tag, "*") for named in given.split(","))
