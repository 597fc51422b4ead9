"""Opaque page tokens: where a list goes on, bound to the list and the filters that issued them."""

import base64
import binascii
import hashlib
from uuid import UUID

from google.protobuf.message import Message

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError

PAGE_SIZE_DEFAULT = 50
_FINGERPRINT_BYTES = 6
_PAGING_FIELDS = ("page_size", "page_token")


def page_size(request: Message) -> int:
    """Return the request's page_size, or the default for 0."""
    return int(getattr(request, "page_size")) or PAGE_SIZE_DEFAULT  # noqa: B009 - every list request has it


def encode(request: Message, last_key: str) -> str:
    """Return the token of the page after `last_key` for a list request."""
    return base64.urlsafe_b64encode(_fingerprint(request) + last_key.encode()).decode().rstrip("=")


def decode(request: Message) -> str | None:
    """Return the key to go on after, or None for the first page; InvalidArgumentError for a foreign token."""
    token = str(getattr(request, "page_token"))  # noqa: B009 - every list request has it
    if not token:
        return None
    try:
        raw = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        fingerprint, key = raw[:_FINGERPRINT_BYTES], raw[_FINGERPRINT_BYTES:].decode()
    except (binascii.Error, UnicodeError):
        raise _refused() from None
    # Anybody can make a token of another's fingerprint: what no key holds must not reach a query.
    if fingerprint != _fingerprint(request) or not key or not key.isprintable():
        raise _refused()
    return key


def decode_id(request: Message) -> UUID | None:
    """Return the id to go on after, or None for the first page."""
    key = decode(request)
    try:
        return None if key is None else UUID(key)
    except ValueError:
        raise _refused() from None


def _refused() -> InvalidArgumentError:
    description = "is not a token that this list issued for these filters; start again without it"
    return InvalidArgumentError.of(FieldViolation("page_token", description, "page_token.foreign"))


def _fingerprint(request: Message) -> bytes:
    filters = type(request)()
    filters.CopyFrom(request)
    for name in _PAGING_FIELDS:
        filters.ClearField(name)
    content = request.DESCRIPTOR.full_name.encode() + filters.SerializeToString(deterministic=True)
    return hashlib.sha256(content).digest()[:_FINGERPRINT_BYTES]
