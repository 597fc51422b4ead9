"""What is older than it is kept is gone, with everything personal in it; what somebody still needs stays."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from services.notification.handlers.planner import NotificationPlanner
from services.notification.messages.lifecycle import MessageState
from services.notification.providers.inbox import InboxProvider, InboxSettings
from services.notification.recipients import suppressing
from services.notification.retention.keeper import Keeper, RetentionLimits
from services.notification.sending.carriers import Carrier
from tests.consumers import until
from tests.notifications import Notifications, Story, phone_number, sending

KEPT_DAYS = 90
# Less than there is in one table.
LIMITS = RetentionLimits(kept_days=KEPT_DAYS, rows_max=3, pause_ms=0)
PERSONAL = ("recipients", "addresses", "deliveries", "messages", "attempts", "inbox")


def inbox(notifications: Notifications) -> Carrier:
    settings = InboxSettings()
    return Carrier(InboxProvider(settings, notifications.primary, notifications.vault), settings)


async def forget(notifications: Notifications, days: int) -> None:
    """Forget as it is done so many days from now."""
    at = datetime.now(UTC) + timedelta(days=days)
    await Keeper(notifications.primary, LIMITS, [NotificationPlanner.name]).forget(at, asyncio.Event())


async def told(notifications: Notifications, count: int, phone: str = "") -> list[Story]:
    """Deliveries whose customers have been told of all that there is."""
    stories = [notifications.story() for _ in range(count)]
    for story in stories:
        number = phone or phone_number()
        await notifications.plan(*story.prologue(), story.created(number, "a@example.com"), story.became("delivered"))
    carrier = inbox(notifications)

    async def arrived() -> bool:
        states = [await notifications.states(story) for story in stories]
        return all(set(found.values()) == {"delivered"} for found in states)

    async with sending(notifications.sender({"sms": [carrier], "email": [carrier]})):
        await until(arrived)
    return stories


async def rows_of(notifications: Notifications, story: Story) -> dict[str, int]:
    """How many rows of each table with something personal are there because of a delivery, and its merchant's."""
    merchant_id, delivery_id = uuid.UUID(story.merchant_id), uuid.UUID(story.delivery_id)
    counts = {
        table: await notifications.primary.fetchval(
            f"SELECT count(*) FROM notification.{table} WHERE merchant_id = $1", merchant_id
        )
        for table in PERSONAL
    }
    counts["of the delivery"] = await notifications.primary.fetchval(
        "SELECT count(*) FROM notification.messages WHERE delivery_id = $1", delivery_id
    )
    return counts


async def test_in_time_everything_personal_is_gone(notifications: Notifications) -> None:
    phone = phone_number()
    stories = [*await told(notifications, 4), *await told(notifications, 1, phone)]
    async with notifications.primary.acquire() as connection:
        await suppressing.suppress(connection, notifications.vault, "sms", phone, "STOP")
    before = [await rows_of(notifications, story) for story in stories]
    assert all(min(counts.values()) > 0 for counts in before)
    await forget(notifications, KEPT_DAYS - 1)
    assert [await rows_of(notifications, story) for story in stories] == before
    await forget(notifications, KEPT_DAYS + 1)
    after = [await rows_of(notifications, story) for story in stories]
    assert all(set(counts.values()) == {0} for counts in after)
    # Who wants nothing more is remembered.
    story = notifications.story()
    await notifications.plan(*story.prologue(), story.created(phone), story.became("delivered"))
    async with sending(notifications.sender({"sms": [inbox(notifications)]})):
        await until(lambda: _has(notifications, story, "suppressed"))


async def _has(notifications: Notifications, story: Story, state: str) -> bool:
    return set((await notifications.states(story)).values()) == {state}


@pytest.mark.parametrize(
    ("state", "updated_days", "expires_days", "stays"),
    [
        (MessageState.PLANNED, 0, KEPT_DAYS + 2, True),
        (MessageState.PLANNED, 0, 1, False),
        (MessageState.SENDING, 0, 1, True),
        (MessageState.OUTCOME_UNKNOWN, 0, 1, False),
        # Sent again by a person.
        (MessageState.SENT, KEPT_DAYS, 1, True),
    ],
)
async def test_what_is_still_to_be_sent_or_was_lately_stays_with_whom_it_is_for(
    notifications: Notifications, state: MessageState, updated_days: int, expires_days: int, stays: bool
) -> None:
    (story,) = await told(notifications, 1)
    now = datetime.now(UTC)
    updated_at, expires_at = (now + timedelta(days=days) for days in (updated_days, expires_days))
    await notifications.primary.execute(
        "UPDATE notification.messages SET state = $1, updated_at = $2, expires_at = $3 WHERE delivery_id = $4",
        state, updated_at, expires_at, uuid.UUID(story.delivery_id),
    )  # fmt: skip
    await forget(notifications, KEPT_DAYS + 1)
    counts = await rows_of(notifications, story)
    del counts["inbox"]
    assert all(bool(count) is stays for count in counts.values()), counts


async def test_what_events_have_been_seen_is_forgotten_when_none_of_them_can_come_again(
    notifications: Notifications,
) -> None:
    story = notifications.story()
    created = story.created(phone_number())
    await notifications.plan(*story.prologue(), created)

    async def is_known() -> bool:
        query = "SELECT EXISTS (SELECT FROM notification.seen_events WHERE event_id = $1)"
        return bool(await notifications.primary.fetchval(query, uuid.UUID(created.id)))

    await forget(notifications, LIMITS.seen_events_days - 1)
    assert await is_known()
    await forget(notifications, LIMITS.seen_events_days + 1)
    assert not await is_known()


async def test_of_two_that_forget_one_waits_for_another_time(
    notifications: Notifications, embedded_servers: EmbeddedServers
) -> None:
    (story,) = await told(notifications, 1)
    other = await asyncpg.connect(embedded_servers.dsn("notification_worker"))
    async with other.transaction():
        await other.fetchval("SELECT pg_advisory_xact_lock(hashtext('notification.retention'))")
        await forget(notifications, KEPT_DAYS + 1)
        assert (await rows_of(notifications, story))["messages"] > 0
    await other.close()
    await forget(notifications, KEPT_DAYS + 1)
    assert (await rows_of(notifications, story))["messages"] == 0
