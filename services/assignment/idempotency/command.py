"""A command that may come twice: who sent it, under which key, and what it asked."""

import hashlib
from dataclasses import dataclass

from google.protobuf.message import Message

from libs.grpc_server.call import Call


@dataclass(frozen=True, slots=True)
class IdempotentCommand:
    """An idempotency key with what it stands for. `merchant_id` is set for a merchant's own keys."""

    scope: str
    key: str
    method: str
    request_sha256: bytes
    merchant_id: str | None


def command_of(call: Call, request: Message) -> IdempotentCommand | None:
    """Return the call's idempotent command, or None when it carries no key."""
    if call.idempotency_key is None:
        return None
    content = call.method.encode() + b"\0" + request.SerializeToString(deterministic=True)
    principal = call.principal
    return IdempotentCommand(
        principal.scope, call.idempotency_key, call.method, hashlib.sha256(content).digest(), principal.merchant_id
    )
