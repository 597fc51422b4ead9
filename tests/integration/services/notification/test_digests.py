"""What comes in bursts is told of together: all of it, and to everyone whose turn it is."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from services.notification.providers.inbox import InboxProvider, InboxSettings
from services.notification.sending.carriers import Carrier
from services.notification.sending.waiting import words_from
from tests.consumers import until
from tests.notifications import QUICK, Notifications, Story, sending
from tests.texts import ends_as


@pytest.fixture
async def low_ids(notifications: Notifications, embedded_servers: EmbeddedServers) -> AsyncIterator[tuple[UUID, UUID]]:
    """Ids of recipients who come before all others; whose they are is forgotten afterwards."""
    ids = UUID(int=7), UUID(int=8)
    yield ids
    owner = await asyncpg.connect(embedded_servers.dsn())
    await owner.execute("TRUNCATE notification.messages, notification.attempts")
    await owner.execute("DELETE FROM notification.addresses WHERE recipient_id = ANY ($1::uuid[])", ids)
    await owner.execute("DELETE FROM notification.recipients WHERE id = ANY ($1::uuid[])", ids)
    await owner.close()


def inbox(notifications: Notifications) -> Carrier:
    settings = InboxSettings()
    return Carrier(InboxProvider(settings, notifications.primary, notifications.vault), settings)


async def test_a_burst_is_told_of_together(notifications: Notifications) -> None:
    story = notifications.story()
    stories = [story, *(story.next_delivery() for _ in range(6))]
    await _merchant_contact(notifications, story)
    limits = QUICK.model_copy(update={"digest_messages_max": 4, "digest_every_s": 0.3})
    for one in stories:
        await notifications.plan(one.created(), one.became("attempt_failed", "CUSTOMER_UNREACHABLE"))
    async with sending(notifications.sender({"email": [inbox(notifications)]}, limits)):
        await until(lambda: _all(notifications, stories, "delivered"))
    sizes: dict[str, int] = {}
    for one in stories:
        (attempt,) = await notifications.attempts(one)
        sizes[attempt["id"]] = sizes.get(attempt["id"], 0) + 1
    assert sorted(sizes.values()) == [3, 4]


async def _all(notifications: Notifications, stories: list[Story], state: str) -> bool:
    return all([set((await notifications.states(one)).values()) == {state} for one in stories])


async def _merchant_contact(notifications: Notifications, story: Story, recipient_id: UUID | None = None) -> UUID:
    made, vault = recipient_id or uuid4(), notifications.vault
    await notifications.primary.execute(
        "INSERT INTO notification.recipients (id, audience, merchant_id, owner_id, name_sealed, language, "
        "time_zone, quiet_from_min, quiet_until_min, created_at, updated_at) "
        "VALUES ($1, 'merchant', $2, $2, $3, 'en', 'Asia/Kolkata', 0, 0, now(), now())",
        made, story.merchant_id, vault.seal("Chai & Co", b"recipient name"),
    )  # fmt: skip
    await notifications.primary.execute(
        "INSERT INTO notification.addresses (recipient_id, channel, merchant_id, address_sealed, address_hash) "
        "VALUES ($1, 'email', $2, $3, $4)",
        made, story.merchant_id, vault.seal("ops@chai.example.com", b"address"),
        vault.hash("ops@chai.example.com", b"address on email"),
    )  # fmt: skip
    return made


async def _told_often(notifications: Notifications, story: Story, times: int) -> None:
    """Plan so many messages to the story's merchant, of as many deliveries."""
    await notifications.plan(*story.prologue(), story.created(), story.became("attempt_failed"))
    await notifications.primary.execute(
        "INSERT INTO notification.messages (id, recipient_id, delivery_id, status, channel, merchant_id, audience, "
        "language, variables, priority, digestible, state, planned_at, send_after, expires_at, updated_at) "
        "SELECT gen_random_uuid(), recipient_id, gen_random_uuid(), status, channel, merchant_id, audience, language, "
        "variables, priority, digestible, state, planned_at, send_after, expires_at, updated_at "
        "FROM notification.messages, generate_series(2, $2) WHERE delivery_id = $1 AND digestible",
        UUID(story.delivery_id), times,
    )  # fmt: skip


async def test_who_waits_for_the_next_digest_is_in_nobodys_way(
    notifications: Notifications, low_ids: tuple[UUID, UUID]
) -> None:
    waiting, other = notifications.story(), notifications.story()
    for story, recipient_id, times in ((waiting, low_ids[0], 1_100), (other, low_ids[1], 1)):
        await _merchant_contact(notifications, story, recipient_id)
        await _told_often(notifications, story, times)
    await notifications.primary.execute(
        "UPDATE notification.addresses SET next_digest_at = now() + interval '10 minutes' WHERE recipient_id = $1",
        low_ids[0],
    )
    async with sending(notifications.sender({"email": [inbox(notifications)]})):
        await ends_as(notifications, other, "delivered", "attempt_failed", "email")
    assert await notifications.states(waiting) == {("attempt_failed", "email"): "planned"}


async def test_a_digest_tells_of_all_that_is_due_and_lists_the_first(notifications: Notifications) -> None:
    story = notifications.story()
    await _merchant_contact(notifications, story)
    await _told_often(notifications, story, 120)
    async with sending(notifications.sender({"email": [inbox(notifications)]})):
        await ends_as(notifications, story, "delivered", "attempt_failed", "email")
    attempts = await notifications.primary.fetch("SELECT id, content_sealed FROM notification.attempts")
    assert (len(attempts), len({row["id"] for row in attempts})) == (120, 1)
    words = words_from(notifications.vault, attempts[0]["content_sealed"])
    assert words.subject == "News of 120 deliveries"
    lines = words.body.splitlines()
    assert sum(line.startswith("- ") and "ORDER-1042" in line for line in lines) == 50
    assert lines[-3:] == ["and 70 more", "", "Lastmile"]
