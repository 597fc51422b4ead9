"""Idempotency keys: looked up, and stored with the effect, in the effect's own transaction."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import asyncpg

from services.assignment.errors import IdempotencyKeyInFlightError, IdempotencyKeyReusedError
from services.assignment.idempotency.command import IdempotentCommand

# Serves no index. A lock that is taken means that a transaction with the same key is running somewhere.
_LOCK = """
SELECT pg_try_advisory_xact_lock(hashtextextended(k.scope || chr(10) || k.key, 0)) AS locked
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (scope, key, place) ORDER BY k.place
"""
# Served by idempotency_keys_pkey.
_FIND = """
SELECT k.place - 1 AS place, i.request_sha256, i.response
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (scope, key, place)
JOIN assignment.idempotency_keys i ON i.scope = k.scope AND i.key = k.key
"""
_STORE = """
INSERT INTO assignment.idempotency_keys (scope, key, merchant_id, method, request_sha256, response, created_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[], $7::timestamptz[])
"""
# Served by idempotency_keys_by_age.
_FORGET = """
DELETE FROM assignment.idempotency_keys WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM assignment.idempotency_keys WHERE created_at < $1 LIMIT $2))
"""

Found = bytes | Exception | None


async def find(connection: asyncpg.Connection, commands: Sequence[IdempotentCommand | None]) -> list[Found]:
    """Return for each command its stored answer, the error that refuses it, or None when it is new.

    A new command's key stays locked until the transaction ends: another transaction with it is told so at once
    instead of waiting.
    """
    answers: list[Found] = [None] * len(commands)
    places: list[int] = []
    seen: set[tuple[str, str]] = set()
    for place, command in enumerate(commands):
        if command is None:
            continue
        if (command.scope, command.key) in seen:
            answers[place] = _in_flight(command)
        else:
            seen.add((command.scope, command.key))
            places.append(place)
    if not places:
        return answers
    keyed = [(place, command) for place in places if (command := commands[place]) is not None]
    scopes, keys = [command.scope for _, command in keyed], [command.key for _, command in keyed]
    locked = await connection.fetch(_LOCK, scopes, keys)
    for (place, command), row in zip(keyed, locked, strict=True):
        if not row["locked"]:
            answers[place] = _in_flight(command)
    for row in await connection.fetch(_FIND, scopes, keys):
        place, command = keyed[row["place"]]
        same = row["request_sha256"] == command.request_sha256
        answers[place] = row["response"] if same else _reused(command)
    return answers


async def store(
    connection: asyncpg.Connection, answers: Sequence[tuple[IdempotentCommand, bytes]], now: datetime
) -> None:
    """Store the answers of commands that find() said were new."""
    if not answers:
        return
    commands = [command for command, _ in answers]
    await connection.execute(
        _STORE,
        [c.scope for c in commands],
        [c.key for c in commands],
        [c.merchant_id for c in commands],
        [c.method for c in commands],
        [c.request_sha256 for c in commands],
        [response for _, response in answers],
        [now] * len(commands),
    )


async def once(
    connection: asyncpg.Connection,
    command: IdempotentCommand | None,
    now: datetime,
    effect: Callable[[], Awaitable[bytes]],
) -> tuple[bytes, bool]:
    """Return the stored answer and True, or run `effect`, store its answer, and return it and False."""
    (found,) = await find(connection, [command])
    if isinstance(found, Exception):
        raise found
    if found is not None:
        return found, True
    response = await effect()
    if command is not None:
        await store(connection, [(command, response)], now)
    return response, False


async def forget(connection: asyncpg.Connection, before: datetime, rows_max: int) -> int:
    """Delete up to `rows_max` keys older than `before`; return how many there were."""
    return int((await connection.execute(_FORGET, before, rows_max)).split()[-1])


def _in_flight(command: IdempotentCommand) -> IdempotencyKeyInFlightError:
    return IdempotencyKeyInFlightError(f"a request with idempotency key {command.key!r} is being worked on; try again")


def _reused(command: IdempotentCommand) -> IdempotencyKeyReusedError:
    return IdempotencyKeyReusedError(f"idempotency key {command.key!r} came before with another request; use a new key")
