"""A sender that slept through its lease wakes up: what it knows is heard, and what it does not know is still sought."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from libs.ids import new_id
from services.notification.messages.lifecycle import MessageState
from services.notification.sending import store
from services.notification.sending.outcomes import Next
from services.notification.sending.store import Begun, Finished
from tests.notifications import Notifications, Story
from tests.texts import texted


async def swept(notifications: Notifications) -> tuple[Story, UUID]:
    """A message whose attempt was called unknown while its sender slept, and the attempt."""
    story, attempt_id, now = await texted(notifications), new_id(), datetime.now(UTC)
    async with notifications.primary.acquire() as connection:
        (due,) = await store.take(connection, "sms", now, 10)
        await store.begin(connection, [Begun(attempt_id, (due.id,), "twilio", b"", None)], now, now)
        assert await store.sweep(connection, now + timedelta(seconds=1), 10) == [("sms", "twilio")]
    return story, attempt_id


async def finish(notifications: Notifications, attempt_id: UUID, becomes: Next) -> None:
    now = datetime.now(UTC)
    async with notifications.primary.acquire() as connection:
        await store.finish(connection, [Finished(attempt_id, "", becomes)], now, now)


async def test_what_its_sender_knows_was_not_sent_is_sent_again(notifications: Notifications) -> None:
    story, attempt_id = await swept(notifications)
    now = datetime.now(UTC)
    await finish(
        notifications, attempt_id, Next(MessageState.PLANNED, "PROVIDER_FAILED", now, frozenset({"twilio"}), 1)
    )
    (message,), (attempt,) = await notifications.messages(story), await notifications.attempts(story)
    assert (message["state"], message["refused_by"], message["rounds"]) == ("planned", ["twilio"], 1)
    assert (attempt["state"], attempt["next_look_at"]) == ("failed", None)


async def test_what_its_sender_does_not_know_is_sought_as_before(notifications: Notifications) -> None:
    story, attempt_id = await swept(notifications)
    (before,) = await notifications.attempts(story)
    await finish(notifications, attempt_id, Next(MessageState.OUTCOME_UNKNOWN, "TIMED_OUT"))
    (after,) = await notifications.attempts(story)
    assert (after["state"], after["next_look_at"]) == ("outcome_unknown", before["next_look_at"])
    assert after["next_look_at"] is not None


async def test_what_somebody_has_sent_again_since_is_left_to_the_new_attempt(notifications: Notifications) -> None:
    story, attempt_id = await swept(notifications)
    await notifications.primary.execute("UPDATE notification.messages SET state = 'sending', attempt_id = $1", new_id())
    await finish(notifications, attempt_id, Next(MessageState.PLANNED, "PROVIDER_FAILED", datetime.now(UTC)))
    assert await notifications.states(story) == {("delivered", "sms"): "sending"}
