"""What the notification service's tables say of an outage, and whom it affects: every statement of this noun."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import floor_at
from services.notification.alerts.alert import COUNTED_MAX
from services.notification.alerts.signals import Queue, Receipts

# Urgent messages wait since they were planned, however often they were put off; the others since they were due, and so
# do webhooks: when those are put off, it is up to their merchant's own receiver.
# Served by messages_to_send: a bounded part of each channel and priority.
_QUEUES = """
SELECT c.channel, count(m.since) FILTER (WHERE m.since <= $2) AS waiting, min(m.since) AS since
FROM unnest($1::text[]) AS c (channel) CROSS JOIN generate_series(-1, 2) AS p (priority)
LEFT JOIN LATERAL (
  SELECT CASE WHEN priority <= 0 AND channel <> 'webhook' THEN planned_at ELSE send_after END AS since
  FROM notification.messages
  WHERE state = 'planned' AND NOT digestible AND channel = c.channel AND priority = p.priority AND send_after <= $3
  ORDER BY send_after LIMIT $4) AS m ON true
GROUP BY c.channel
"""
# Served by attempts_pkey, whose ids begin with the time: a bounded part of each of two times.
_RECEIPTS = """
SELECT provider, count(*) FILTER (WHERE late) AS taken, count(*) FILTER (WHERE late AND told) AS told,
  count(*) FILTER (WHERE NOT late) AS taken_before, count(*) FILTER (WHERE NOT late AND told) AS told_before
FROM (
  (SELECT true AS late, provider, state <> 'sent' AS told FROM notification.attempts
    WHERE id >= $1 AND id < $2 AND state IN ('sent', 'delivered', 'failed') AND provider_message_id <> ''
    ORDER BY id DESC LIMIT $5)
  UNION ALL
  (SELECT false, provider, state <> 'sent' FROM notification.attempts
    WHERE id >= $3 AND id < $4 AND state IN ('sent', 'delivered', 'failed') AND provider_message_id <> ''
    ORDER BY id LIMIT $5)
) AS a GROUP BY provider
"""
# Served by network_partners_by_network.
_PARTNERS = """
SELECT count(*) FROM (
  SELECT FROM notification.network_partners WHERE network_code = $1 AND network_code <> '' LIMIT $2) AS p
"""
# Served by withdrawn_offers_by_network.
_WITHDRAWN = """
SELECT count(*) AS offers, count(DISTINCT delivery_id) FILTER (WHERE rematched_at IS NOT NULL) AS rematched,
  count(DISTINCT merchant_id) AS merchants
FROM (SELECT * FROM notification.withdrawn_offers WHERE network_code = $1 AND withdrawn_at >= $2 LIMIT $3) AS w
"""
# Served by withdrawn_offers_by_network and outage_news_pkey.
_WITHDRAWN_NEWS = """
SELECT w.merchant_id, count(DISTINCT w.delivery_id) AS concerned
FROM (SELECT * FROM notification.withdrawn_offers WHERE network_code = $1 AND withdrawn_at >= $2 LIMIT $3) AS w
JOIN notification.outage_news n ON n.merchant_id = w.merchant_id GROUP BY w.merchant_id
"""
# What is due and waits on channels (served by messages_to_send); what a provider may have sent (by attempts_unknown).
_CONCERNED = """
waiting AS (
  SELECT merchant_id FROM notification.messages
  WHERE state = 'planned' AND NOT digestible AND channel = ANY ($1::text[]) AND send_after <= $2 LIMIT $4
), unknown AS (
  SELECT merchant_id FROM notification.attempts WHERE next_look_at IS NOT NULL AND provider = $3 LIMIT $4
)
"""
_MESSAGES = f"""WITH {_CONCERNED}
SELECT (SELECT count(*) FROM waiting) AS waiting, (SELECT count(*) FROM unknown) AS unknown,
  (SELECT count(DISTINCT merchant_id) FROM (SELECT * FROM waiting UNION ALL SELECT * FROM unknown) AS m) AS merchants
"""  # noqa: S608 - our own text
# And by outage_news_pkey.
_MESSAGES_NEWS = f"""WITH {_CONCERNED}
SELECT m.merchant_id, count(*) AS concerned FROM (SELECT * FROM waiting UNION ALL SELECT * FROM unknown) AS m
JOIN notification.outage_news n ON n.merchant_id = m.merchant_id GROUP BY m.merchant_id
"""  # noqa: S608 - our own text
# Of each channel and priority no more is looked at: the oldest are enough to tell.
_LOOKED_AT_MAX = 1_000
_SAMPLED_MAX = 2_000
# Something that was put off is still waiting.
_PUT_OFF = timedelta(minutes=1)


async def queues(connection: asyncpg.Connection, channels: Collection[str], now: datetime) -> list[Queue]:
    """Return how long messages wait on each channel."""
    rows = await connection.fetch(_QUEUES, sorted(channels), now, now + _PUT_OFF, _LOOKED_AT_MAX)
    return [
        Queue(row["channel"], row["waiting"], max(0.0, (now - row["since"]).total_seconds()) if row["since"] else 0.0)
        for row in rows
    ]


async def receipts(
    connection: asyncpg.Connection,
    now: datetime,
    well_at: datetime,
    wait: timedelta,
    window: timedelta,
    before: timedelta,
) -> list[Receipts]:
    """Return what providers say of messages: of a `window` that ended `wait` ago, and of some from before that.

    Those are from `before` `well_at` on, as they would have been looked at then.
    """
    late = (floor_at(now - wait - window), floor_at(now - wait))
    early = (floor_at(well_at - before), floor_at(well_at - wait - window))
    return [Receipts(**row) for row in await connection.fetch(_RECEIPTS, *late, *early, _SAMPLED_MAX)]


async def partners(connection: asyncpg.Connection, network_code: str) -> int:
    """Return how many partners a network lends."""
    return int(await connection.fetchval(_PARTNERS, network_code, COUNTED_MAX))


async def withdrawn(connection: asyncpg.Connection, network_code: str, since: datetime) -> Mapping[str, int]:
    """Return how many `offers` were taken back from a network, `rematched` deliveries and `merchants` of those."""
    row = await connection.fetchrow(_WITHDRAWN, network_code, since, COUNTED_MAX)
    return dict(row)


async def withdrawn_news(connection: asyncpg.Connection, network_code: str, since: datetime) -> Mapping[UUID, int]:
    """Return the merchants who want to know, with how many of their deliveries were taken back from a network."""
    rows = await connection.fetch(_WITHDRAWN_NEWS, network_code, since, COUNTED_MAX)
    return {row["merchant_id"]: row["concerned"] for row in rows}


async def messages(
    connection: asyncpg.Connection, channels: Sequence[str], provider: str, now: datetime
) -> Mapping[str, int]:
    """Return how many messages are `waiting` on channels or `unknown` at a provider, and `merchants` of those."""
    return dict(await connection.fetchrow(_MESSAGES, list(channels), now + _PUT_OFF, provider, COUNTED_MAX))


async def messages_news(
    connection: asyncpg.Connection, channels: Sequence[str], provider: str, now: datetime
) -> Mapping[UUID, int]:
    """Return the merchants who want to know, with how many messages to their customers wait or may have been sent."""
    rows = await connection.fetch(_MESSAGES_NEWS, list(channels), now + _PUT_OFF, provider, COUNTED_MAX)
    return {row["merchant_id"]: row["concerned"] for row in rows}
