"""Signatures of webhooks, as Standard Webhooks 1.0 has them: https://www.standardwebhooks.com/

What is signed is the id, the time and the bytes of the body, so none of them can be another's. Any of the secrets will
do: one is replaced by adding the new, having the network change over, and removing the old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
# The package's own tolerance: a wider one would have no effect.
TOLERANCE_S_MAX = 300
ID_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The three headers, as they came."""

    id: str
    timestamp: str
    signature: str


class SignatureError(Exception):
    """Not signed by a secret of ours, or not now; `reason` is which."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


def verify(headers: SignedHeaders, body: bytes, secrets: Sequence[str], tolerance_s: int, now: datetime) -> None:
    """Raise SignatureError unless the body is signed by one of the secrets, within `tolerance_s` of `now`."""
    if not 0 < len(headers.id) <= ID_CHARS_MAX or not headers.id.isascii() or not headers.id.isprintable():
        raise SignatureError("WEBHOOK_ID_INVALID", f"{ID} must be 1 to {ID_CHARS_MAX} printable ASCII characters")
    stamp = headers.timestamp
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise SignatureError("WEBHOOK_TIMESTAMP_INVALID", f"{TIMESTAMP} must be the seconds since 1970")
    if abs(now.timestamp() - int(stamp)) > tolerance_s:
        raise SignatureError("WEBHOOK_STALE", f"{TIMESTAMP} is more than {tolerance_s} s from now")
    named = {ID: headers.id, TIMESTAMP: stamp, SIGNATURE: headers.signature}
    for secret in secrets:
        try:
            Webhook(secret).verify(body, named, json_parse=False)
        except Exception:  # noqa: BLE001, S112 - malformed signatures raise whatever parsing them met; none of them is one
            continue
        return
    raise SignatureError("WEBHOOK_SIGNATURE_INVALID", "no secret of this network has signed this")


def sign(webhook_id: str, at: datetime, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a signed body."""
    at = at.astimezone(UTC).replace(microsecond=0)
    signature = Webhook(secret).sign(webhook_id, at, body.decode())
    return {ID: webhook_id, TIMESTAMP: str(int(at.timestamp())), SIGNATURE: signature}
