"""Commands that may come twice: the answer of one with an idempotency key is stored in its own transaction.

See docs/decisions/0007-idempotency-in-the-transaction.md.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import asyncpg
from google.protobuf.message import Message

from libs.grpc_server.call import Call
from services.reconciliation.errors import IdempotencyKeyInFlightError, IdempotencyKeyReusedError

Answer = TypeVar("Answer", bound=Message)
# Serves no index. A lock that is taken means that a command with the same key is running somewhere.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(concat_ws(chr(10), 'command', $1::text, $2::text), 0))"
# Served by idempotency_keys_pkey.
_FIND = "SELECT request_sha256, response FROM reconciliation.idempotency_keys WHERE scope = $1 AND key = $2"
_STORE = """
INSERT INTO reconciliation.idempotency_keys (scope, key, request_sha256, response, created_at)
VALUES ($1, $2, $3, $4, $5)
"""
# Served by idempotency_keys_by_age.
_FORGET = """
DELETE FROM reconciliation.idempotency_keys WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM reconciliation.idempotency_keys WHERE created_at < $1 LIMIT $2))
"""


async def once(
    connection: asyncpg.Connection,
    call: Call,
    request: Message,
    now: datetime,
    kind: type[Answer],
    effect: Callable[[], Awaitable[Answer]],
) -> Answer:
    """Return the stored answer of the call's key, or run `effect` and store its answer with it.

    Raises IdempotencyKeyInFlightError and IdempotencyKeyReusedError. A call without a key is just run.
    """
    key = call.idempotency_key
    if key is None:
        return await effect()
    # The subject: what one person decides is nobody else's answer.
    scope = f"{call.principal.scope}:{call.principal.subject}"
    if not await connection.fetchval(_LOCK, scope, key):
        raise IdempotencyKeyInFlightError(f"a request with idempotency key {key!r} is being worked on; try again")
    content = call.method.encode() + b"\0" + request.SerializeToString(deterministic=True)
    digest = hashlib.sha256(content).digest()
    row = await connection.fetchrow(_FIND, scope, key)
    if row is not None:
        if row["request_sha256"] != digest:
            raise IdempotencyKeyReusedError(f"idempotency key {key!r} came before with another request; use a new key")
        call.response_metadata["idempotent-replayed"] = "true"
        return kind.FromString(row["response"])
    answer = await effect()
    await connection.execute(_STORE, scope, key, digest, answer.SerializeToString(), now)
    return answer


async def forget(connection: asyncpg.Connection, before: datetime, rows_max: int) -> int:
    """Delete up to `rows_max` keys older than `before`; return how many there were."""
    return int((await connection.execute(_FORGET, before, rows_max)).rpartition(" ")[2])
