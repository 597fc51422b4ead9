"""A merchant's webhook, and where it may lead."""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID


class WebhookUrlError(ValueError):
    """The text is no URL that a webhook may have; the message says why."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is kept. `failures` counts the messages in a row that failed for good."""

    merchant_id: UUID
    secret_sealed: bytes = field(repr=False)
    previous_sealed: bytes | None = field(repr=False)
    previous_until: datetime | None
    failures: int
    disabled_at: datetime | None
    updated_at: datetime


def checked_url(text: str, *, private_receivers: bool) -> str:
    """Return a URL that a webhook may have. Raises WebhookUrlError."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise WebhookUrlError("is no URL") from None
    if parts.scheme not in ({"https", "http"} if private_receivers else {"https"}):
        raise WebhookUrlError("must begin with https://")
    if not parts.hostname or port == 0:
        raise WebhookUrlError("names no host")
    if "@" in parts.netloc or parts.fragment:
        raise WebhookUrlError("may hold no user, password or fragment")
    return text
