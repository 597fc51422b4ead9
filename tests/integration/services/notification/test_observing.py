"""What alerts are made from, on the real servers: what is seen of it, and what cannot be."""

import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import redis.asyncio as redis

from libs.embedded.free_ports import free_ports
from libs.resilience.board import BoardLimits
from services.notification.alerts.alert import Key, Kind, Symptom
from services.notification.alerts.observing import store as observing
from services.notification.alerts.observing.observer import Observer, ObserverLimits
from services.notification.alerts.rules import Recover, RuleLimits, Track, found, receipts_missing_since, step
from services.notification.alerts.signals import Level, Signal, SignalLimits
from services.notification.routes import default_routes
from tests.notifications import Notifications, phone_number


async def test_while_redis_is_away_no_alert_that_it_tells_of_is_over(notifications: Notifications) -> None:
    limits, now = RuleLimits(), datetime.now(UTC)
    keys = [Key(Kind.NETWORK, "network:lent"), Key(Kind.PROVIDER, "notification.twilio"), Key(Kind.STREAM, "planner")]
    tracks = {key: Track(is_raised=True, was_ill=True) for key in keys}
    async with (
        redis.from_url(f"redis://127.0.0.1:{free_ports(1)[0]}") as nobody,
        notifications.primary.acquire() as connection,
    ):
        observer = Observer(nobody, default_routes(), ObserverLimits(), SignalLimits(), BoardLimits())
        for _ in range(4):
            now += timedelta(seconds=limits.gone_s)
            seen = await observer.look(connection, now, None)
            tracks, decisions = step(tracks, found(seen.signals, now), seen.unseen, now, limits)
            assert [one for one in decisions if isinstance(one, Recover)] == []
    assert tracks.keys() >= set(keys)


@pytest.mark.parametrize(
    ("channel", "rounds", "due_in_s", "waits_s"),
    [
        ("webhook", 2, 30, 0),
        ("webhook", 2, -90, 90),
        ("webhook", 0, 30, 0),
        ("webhook", 0, -600, 600),
        ("sms", 2, 30, 600),
    ],
)
async def test_a_webhook_that_its_receiver_did_not_take_waits_since_it_is_due_again(
    notifications: Notifications, channel: str, rounds: int, due_in_s: int, waits_s: int
) -> None:
    story, now = notifications.story(), datetime.now(UTC)
    await notifications.plan(*story.prologue(), story.created(phone_number()), story.became("out_for_delivery"))
    (message,) = await notifications.messages(story)
    async with notifications.primary.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE notification.messages SET state = 'sent' WHERE id <> $1", message["id"])
        await connection.execute(
            "UPDATE notification.messages SET channel = $2, rounds = $3, planned_at = $4, send_after = $5"
            " WHERE id = $1",
            message["id"], channel, rounds, now - timedelta(minutes=10), now + timedelta(seconds=due_in_s),
        )  # fmt: skip
        (queue,) = await observing.queues(connection, [channel], now)
        await transaction.rollback()
    assert (queue.channel, queue.oldest_s) == (channel, waits_s)


async def test_receipts_are_compared_with_those_of_before(notifications: Notifications) -> None:
    primary, now = notifications.primary, datetime.now(UTC)
    story = notifications.story()
    await notifications.plan(*story.prologue(), story.created(phone_number()), story.became("delivered"))
    (message,) = await notifications.messages(story)
    for minutes_ago, state, count in ((60, "delivered", 9), (60, "sent", 1), (8, "sent", 5), (1, "sent", 7)):
        await add_attempts(primary, message["id"], "twilio", state, count, now - timedelta(minutes=minutes_ago))
    spans = (timedelta(minutes=5), timedelta(minutes=10), timedelta(hours=6))
    (known,) = await observing.receipts(primary, now, now, *spans)
    assert (known.taken, known.told, known.taken_before, known.told_before) == (5, 0, 10, 9)


async def test_an_outage_of_receipts_does_not_become_what_they_are_compared_with(notifications: Notifications) -> None:
    now, story = datetime.now(UTC), notifications.story()
    await notifications.plan(*story.prologue(), story.created(phone_number()), story.became("delivered"))
    (message,) = await notifications.messages(story)
    key, since = Key(Kind.PROVIDER, "notification.mute"), now - timedelta(hours=7)
    missing = frozenset({Symptom.RECEIPTS_MISSING})
    tracks = {key: Track(is_raised=True, was_ill=True, symptoms=missing, since=since)}
    async with (
        redis.from_url(f"redis://127.0.0.1:{free_ports(1)[0]}") as nobody,
        notifications.primary.acquire() as connection,
    ):
        transaction = connection.transaction()
        await transaction.start()
        for hours_ago, state in ((9, "delivered"), (5, "sent"), (1, "sent"), (0.15, "sent")):
            await add_attempts(connection, message["id"], "mute", state, 60, now - timedelta(hours=hours_ago))
        observer = Observer(nobody, default_routes(), ObserverLimits(), SignalLimits(), BoardLimits())
        seen = await observer.look(connection, now, receipts_missing_since(tracks))
        await transaction.rollback()
    for seconds in (0, 600, 6_000):
        findings = found([*seen.signals, Signal(key, Level.WELL)], now)
        tracks, decisions = step(tracks, findings, (), now + timedelta(seconds=seconds), RuleLimits())
        assert [one for one in decisions if isinstance(one, Recover)] == []


async def add_attempts(
    connection: asyncpg.Pool | asyncpg.Connection,
    message_id: uuid.UUID,
    provider: str,
    state: str,
    count: int,
    at: datetime,
) -> None:
    """Store attempts that began at a time."""
    ids = [uuid.UUID(int=(round(at.timestamp() * 1000) << 80) + uuid.uuid4().int % (1 << 60)) for _ in range(count)]
    await connection.executemany(
        "INSERT INTO notification.attempts (id, message_id, channel, provider, provider_message_id, state, "
        "requested_by, content_sealed, started_at, lease_until) "
        "VALUES ($1, $2, 'sms', $3, 'SM1', $4, '', '', now(), now())",
        [(one, message_id, provider, state) for one in ids],
    )
