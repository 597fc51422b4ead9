"""What is due, the attempts to send it, and what became of them, in PostgreSQL: every statement of this noun."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.notification.messages.lifecycle import MessageState, Mover, sources_of
from services.notification.providers.outgoing import Receipt
from services.notification.sending.outcomes import Next
from services.notification.sending.waiting import Unsent, Waiting

_WAITING = """m.id, m.recipient_id, m.delivery_id, m.merchant_id, m.status, m.audience, m.channel, m.language,
  m.variables, m.priority, m.planned_at, m.expires_at, m.rounds, m.refused_by, m.requested_by, r.time_zone,
  r.quiet_from_min, r.quiet_until_min,
  m.channel = ANY (r.opted_out) AS opted_out, s.reason AS suppressed_reason,
  w.name AS merchant_name, c.name AS city_name, r.name_sealed, a.address_sealed,
  h.disabled_at IS NOT NULL AS is_disabled, h.secret_sealed,
  CASE WHEN h.previous_until > now() THEN h.previous_sealed END AS previous_sealed
FROM due m
JOIN notification.recipients r ON r.id = m.recipient_id
LEFT JOIN notification.addresses a ON a.recipient_id = m.recipient_id AND a.channel = m.channel
LEFT JOIN notification.suppressions s ON s.channel = a.channel AND s.address_hash = a.address_hash
LEFT JOIN notification.deliveries d ON d.id = m.delivery_id
LEFT JOIN notification.merchants w ON w.id = d.merchant_id
LEFT JOIN notification.cities c ON c.code = d.city_code
LEFT JOIN notification.webhooks h ON h.merchant_id = m.merchant_id AND m.channel = 'webhook'"""
# Served by messages_to_send, then by primary keys and suppression_by_address.
_TAKE = f"""
WITH due AS (
  SELECT * FROM notification.messages
  WHERE state = 'planned' AND NOT digestible AND channel = $1 AND send_after <= $2
  ORDER BY priority, send_after LIMIT $3 FOR UPDATE SKIP LOCKED)
SELECT {_WAITING} ORDER BY m.priority, m.send_after
"""  # noqa: S608 - our own text
# Served by messages_to_digest, a step for each recipient of whom something is due, and addresses_pkey. Who was told of
# something a moment ago waits, and costs the others its step alone, however much of its is due.
_DIGESTS_DUE = """
WITH RECURSIVE due (recipient_id) AS (
  (SELECT recipient_id FROM notification.messages
    WHERE state = 'planned' AND digestible AND channel = $1 AND send_after <= $2 ORDER BY recipient_id LIMIT 1)
  UNION ALL
  SELECT n.recipient_id FROM due CROSS JOIN LATERAL (
    SELECT m.recipient_id FROM notification.messages m
    WHERE m.state = 'planned' AND m.digestible AND m.channel = $1 AND m.send_after <= $2
      AND m.recipient_id > due.recipient_id
    ORDER BY m.recipient_id LIMIT 1) AS n)
SELECT a.recipient_id FROM due CROSS JOIN LATERAL (
  SELECT recipient_id FROM notification.addresses
  WHERE recipient_id = due.recipient_id AND channel = $1 AND next_digest_at <= $2
  LIMIT 1 FOR UPDATE SKIP LOCKED) AS a
LIMIT $3
"""
# Served by messages_to_digest, then as _TAKE.
_TAKE_DIGESTS = f"""
WITH due AS (
  SELECT m.* FROM unnest($1::uuid[]) AS u (recipient_id) CROSS JOIN LATERAL (
    SELECT * FROM notification.messages
    WHERE state = 'planned' AND digestible AND channel = $2 AND recipient_id = u.recipient_id AND send_after <= $3
    ORDER BY send_after LIMIT $4 FOR UPDATE SKIP LOCKED) AS m)
SELECT {_WAITING} ORDER BY m.recipient_id, m.send_after
"""  # noqa: S608 - our own text
# Served by addresses_pkey.
_DIGESTED = """
UPDATE notification.addresses SET next_digest_at = $3 WHERE channel = $2 AND recipient_id = ANY ($1::uuid[])
"""
# Served by messages_pkey.
_BEGIN = """
WITH begun AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bytea[])
    AS b (message_id, attempt_id, provider, content_sealed, address_sealed)
), moved AS (
  UPDATE notification.messages m SET state = 'sending', attempts = m.attempts + 1, attempt_id = b.attempt_id,
    provider = b.provider, reason = '', updated_at = $6
  FROM begun b WHERE m.id = b.message_id AND m.state = 'planned'
  RETURNING m.id, m.merchant_id, m.channel, m.requested_by, b.*
)
INSERT INTO notification.attempts (id, message_id, merchant_id, channel, provider, state, requested_by, content_sealed,
  address_sealed, started_at, lease_until)
SELECT attempt_id, id, merchant_id, channel, provider, 'sending', requested_by, content_sealed, address_sealed, $6, $7
FROM moved
"""
# Served by messages_pkey.
_END_UNSENT = """
UPDATE notification.messages m SET state = u.state, reason = u.reason, updated_at = $4
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (id, state, reason)
WHERE m.id = u.id AND m.state = 'planned'
"""
# Served by messages_pkey. Whoever refused a message is asked again.
_POSTPONE = """
UPDATE notification.messages m SET send_after = p.until, refused_by = '{}'
FROM unnest($1::uuid[], $2::timestamptz[]) AS p (id, until) WHERE m.id = p.id AND m.state = 'planned'
"""
# Served by messages_pkey. The time that a message is of use stands still: what waits for the morning is of use then.
_KEEP_QUIET = """
UPDATE notification.messages m SET send_after = u.until, expires_at = m.expires_at + (u.until - $3), refused_by = '{}'
FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, until) WHERE m.id = u.id AND m.state = 'planned'
"""
# Served by attempts_pkey and messages_pkey. A receipt that was faster stays; what the provider calls it is kept anyway.
# What the sweeper called unknown meanwhile is sought on, unless whoever made the attempt knows.
_FINISH = """
WITH said AS (
  SELECT attempt_id, provider_message_id, state, string_to_array(from_states, ',') AS from_states, reason, send_after,
    string_to_array(refused_by, ',') AS refused_by, rounds
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::integer[])
    AS s (attempt_id, provider_message_id, state, from_states, reason, send_after, refused_by, rounds)
), ended AS (
  UPDATE notification.attempts a SET
    provider_message_id = coalesce(nullif(s.provider_message_id, ''), a.provider_message_id), error = s.reason,
    ended_at = $9,
    state = CASE WHEN a.state = ANY (s.from_states) THEN CASE s.state WHEN 'planned' THEN 'failed' ELSE s.state END
      ELSE a.state END,
    next_look_at = CASE WHEN s.state <> 'outcome_unknown' THEN NULL WHEN a.state = 'sending' THEN $10::timestamptz
      ELSE a.next_look_at END
  FROM said s WHERE a.id = s.attempt_id
  RETURNING a.message_id, s.*
)
UPDATE notification.messages m SET state = e.state, reason = e.reason, updated_at = $9,
  send_after = coalesce(e.send_after, m.send_after), refused_by = e.refused_by, rounds = e.rounds
FROM ended e WHERE m.id = e.message_id AND m.attempt_id = e.attempt_id AND m.state = ANY (e.from_states)
"""
# Served by attempts_open, attempts_pkey and messages_pkey.
_SWEEP = """
WITH lost AS (
  SELECT id, message_id FROM notification.attempts WHERE state = 'sending' AND lease_until < $1
  ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED
), marked AS (
  UPDATE notification.attempts a SET state = 'outcome_unknown', error = 'SENDER_LOST', next_look_at = $1
  FROM lost WHERE a.id = lost.id AND a.message_id = lost.message_id RETURNING a.id, a.message_id
)
UPDATE notification.messages m SET state = 'outcome_unknown', reason = 'SENDER_LOST', updated_at = $1
FROM marked k WHERE m.id = k.message_id AND m.attempt_id = k.id AND m.state = 'sending'
RETURNING m.channel, m.provider
"""
# Served by attempts_unknown. Whoever takes one looks alone until then.
_TAKE_UNKNOWN = """
UPDATE notification.attempts a SET next_look_at = CASE WHEN a.started_at > $3 THEN $4::timestamptz ELSE NULL END
FROM notification.messages m
LEFT JOIN notification.addresses d ON d.recipient_id = m.recipient_id AND d.channel = m.channel
WHERE m.id = a.message_id AND a.id = ANY (ARRAY(
  SELECT id FROM notification.attempts WHERE next_look_at <= $1 ORDER BY next_look_at LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING a.id, a.message_id, a.provider, a.channel, a.merchant_id,
  coalesce(a.provider_message_id, '') AS provider_message_id, a.content_sealed, a.started_at,
  coalesce(a.address_sealed, d.address_sealed) AS address_sealed
"""
# Served by attempts_pkey and messages_pkey.
_REPEAT = """
UPDATE notification.messages m SET state = 'planned', send_after = $2, updated_at = $2
FROM notification.attempts a
WHERE a.id = $1 AND m.id = a.message_id AND m.attempt_id = a.id AND m.state = ANY ($3::text[])
"""
# Served by attempts_pkey or attempts_by_provider_id, and messages_pkey.
_RECEIVE = """told AS (
  UPDATE notification.attempts a SET state = $4, ended_at = coalesce(a.ended_at, $6), next_look_at = NULL, error = $5,
    provider_message_id = coalesce(nullif($3, ''), a.provider_message_id)
  WHERE {which} AND a.provider = $2 AND a.state = ANY ($7::text[])
  RETURNING a.id, a.message_id
)
UPDATE notification.messages m SET state = $4, reason = $5, updated_at = $6
FROM told WHERE m.id = told.message_id AND m.attempt_id = told.id AND m.state = ANY ($7::text[])
RETURNING m.recipient_id, m.channel
"""
# What the provider calls it is nobody else's: two attempts with the same words are two.
_RECEIVE_BY_ATTEMPT = "WITH " + _RECEIVE.format(
    which="a.id = $1 AND NOT EXISTS "
    "(SELECT FROM notification.attempts o WHERE o.provider_message_id = $3 AND o.id <> $1)"
)
_RECEIVE_BY_PROVIDER_ID = "WITH " + _RECEIVE.format(which="$1::uuid IS NULL AND a.provider_message_id = $3")


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is about to be made, of one or more messages."""

    attempt_id: UUID
    message_ids: tuple[UUID, ...]
    provider: str
    content_sealed: bytes
    address_sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that has ended, and what its messages become."""

    attempt_id: UUID
    provider_message_id: str
    next: Next


async def take(connection: asyncpg.Connection, channel: str, now: datetime, rows_max: int) -> list[Waiting]:
    """Lock and return what is due on a channel, the most urgent first. Others pass over it meanwhile."""
    return [_waiting(row) for row in await connection.fetch(_TAKE, channel, now, rows_max)]


async def take_digests(
    connection: asyncpg.Connection, channel: str, now: datetime, recipients_max: int, rows_max: int
) -> list[Waiting]:
    """Lock and return what recipients are to be told of together, each one's in a row and at most `rows_max` of it."""
    due = await connection.fetch(_DIGESTS_DUE, channel, now, recipients_max)
    ids = [row["recipient_id"] for row in due]
    return [_waiting(row) for row in await connection.fetch(_TAKE_DIGESTS, ids, channel, now, rows_max)] if ids else []


async def digested(
    connection: asyncpg.Connection, channel: str, recipient_ids: Collection[UUID], next_at: datetime
) -> None:
    """Have the next digests of recipients wait."""
    await connection.execute(_DIGESTED, sorted(recipient_ids), channel, next_at)


async def begin(connection: asyncpg.Connection, begun: Sequence[Begun], now: datetime, lease_until: datetime) -> None:
    """Write down that attempts are about to be made: once this commits, they may have been."""
    rows = [(id_, b.attempt_id, b.provider, b.content_sealed, b.address_sealed) for b in begun for id_ in b.message_ids]
    if rows:
        await connection.execute(_BEGIN, *map(list, zip(*rows, strict=True)), now, lease_until)


async def end_unsent(connection: asyncpg.Connection, ended: Sequence[tuple[UUID, Unsent]], now: datetime) -> None:
    """End messages that nobody is asked to send."""
    if ended:
        ids, why = [message_id for message_id, _ in ended], [unsent for _, unsent in ended]
        await connection.execute(_END_UNSENT, ids, [u.state.value for u in why], [u.reason for u in why], now)


async def postpone(connection: asyncpg.Connection, until: Mapping[UUID, datetime]) -> None:
    """Leave messages alone for a while, each until its time."""
    if until:
        await connection.execute(_POSTPONE, list(until), list(until.values()))


async def keep_quiet(connection: asyncpg.Connection, until: Mapping[UUID, datetime], now: datetime) -> None:
    """Have messages wait for the end of their recipients' quiet hours."""
    if until:
        await connection.execute(_KEEP_QUIET, list(until), list(until.values()), now)


async def finish(
    connection: asyncpg.Connection, finished: Sequence[Finished], now: datetime, look_at: datetime
) -> None:
    """Write down how attempts ended. What is unknown is asked about from `look_at` on."""
    rows = [
        (
            done.attempt_id, done.provider_message_id, done.next.state.value,
            ",".join(sources_of(done.next.state, Mover.SENDER)), done.next.reason, done.next.send_after,
            ",".join(sorted(done.next.refused_by)), done.next.rounds,
        )
        for done in finished
    ]  # fmt: skip
    await connection.execute(_FINISH, *map(list, zip(*rows, strict=True)), now, look_at)


async def sweep(connection: asyncpg.Connection, now: datetime, rows_max: int) -> list[tuple[str, str]]:
    """Call unknown what a sender left open when it died; return the channel and provider of each."""
    return [(row["channel"], row["provider"]) for row in await connection.fetch(_SWEEP, now, rows_max)]


async def take_unknown(
    connection: asyncpg.Connection, now: datetime, rows_max: int, sought_for: timedelta, look_again_at: datetime
) -> list[asyncpg.Record]:
    """Return attempts whose outcome is to be asked for, which comes again at `look_again_at` until they are too old."""
    found: list[asyncpg.Record] = await connection.fetch(_TAKE_UNKNOWN, now, rows_max, now - sought_for, look_again_at)
    return found


async def repeat(connection: asyncpg.Connection, attempt_id: UUID, now: datetime) -> None:
    """Plan again what may have been sent, to a receiver that drops repeats."""
    await connection.execute(_REPEAT, attempt_id, now, sources_of(MessageState.PLANNED, Mover.REPEATER))


async def receive(
    connection: asyncpg.Connection, provider: str, receipt: Receipt, now: datetime
) -> list[tuple[UUID, str]]:
    """Believe what a provider says, where the lifecycle lets it; return the recipient and channel of what has moved."""
    statement = _RECEIVE_BY_ATTEMPT if receipt.attempt_id else _RECEIVE_BY_PROVIDER_ID
    states = sources_of(receipt.state, Mover.PROVIDER)
    rows = await connection.fetch(
        statement, receipt.attempt_id, provider, receipt.provider_message_id, receipt.state.value, receipt.reason, now,
        states,
    )  # fmt: skip
    return [(row["recipient_id"], row["channel"]) for row in rows]


def _waiting(row: asyncpg.Record) -> Waiting:
    values = dict(row)
    values["variables"] = json.loads(values["variables"])
    values["refused_by"] = frozenset(values["refused_by"])
    return Waiting(**values)


# A message that was sent is moved by nobody here but its provider; one that may have been, by who knows it was not.
if set(sources_of(MessageState.PLANNED, Mover.SENDER)) != {MessageState.SENDING, MessageState.OUTCOME_UNKNOWN}:
    raise AssertionError("only what was not sent may be planned again by a sender")
