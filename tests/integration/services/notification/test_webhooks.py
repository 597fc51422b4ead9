"""Webhooks to a real receiver: signed, repeated under one id until taken, given up with notice, and each for itself."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from libs.resilience.limits import DependencyLimits
from services.notification.providers.webhook import WebhookProvider, WebhookSettings
from services.notification.recipients import places
from services.notification.sending.carriers import Carrier
from services.notification.webhooks import store
from tests.consumers import until
from tests.notifications import Notifications, Story, sending
from tests.peers.receiver import HANGS, Receiver, receiver
from tests.texts import opened
from tests.webhooks import SECRET, listening

OTHER = "whsec_" + "QkJC" * 11
QUICK = DependencyLimits(
    deadline_ms=2_000, attempt_ms=1_500, at_once_max=2, waiting_max=2, wait_ms_max=200, attempts_max=1,
    failures_max=100, open_ms=200,
)  # fmt: skip


@pytest.fixture
async def peer() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        made.secrets.append(SECRET)
        yield made


def carrier(*, private_receivers: bool = True) -> Carrier:
    settings = WebhookSettings(private_receivers=private_receivers, receiver=QUICK)
    return opened(Carrier(WebhookProvider(settings), settings))


async def ends_as(notifications: Notifications, story: Story, state: str, status: str = "created") -> None:
    async def has() -> bool:
        return (await notifications.states(story)).get((status, "webhook")) == state

    await until(has)


async def test_a_receiver_is_told_in_a_signed_post(notifications: Notifications, peer: Receiver) -> None:
    story = await listening(notifications, peer.url)
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "delivered")
    (message,) = await notifications.messages(story)
    said = peer.taken[str(message["id"])]
    assert said["type"] == "delivery.created"
    assert said["data"]["deliveryId"] == story.delivery_id
    assert said["data"]["merchantReference"] == "ORDER-1042"


async def test_a_receiver_is_told_of_a_corrected_proof_when_it_was_corrected(
    notifications: Notifications, peer: Receiver
) -> None:
    story = await listening(notifications, peer.url)
    corrected = story.became("delivered", "WRONG_TIME", before="delivered", happened_ago=timedelta(days=5))
    await notifications.plan(corrected)
    status = f"corrected:{corrected.message.sequence}"
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "delivered", status)
    (message,) = (row for row in await notifications.messages(story) if row["status"] == status)
    said = peer.taken[str(message["id"])]
    assert (said["type"], said["data"]["status"], said["data"]["reason"]) == (
        "delivery.corrected", "corrected", "WRONG_TIME",
    )  # fmt: skip
    recorded_at, occurred_at = (datetime.fromisoformat(at) for at in (said["timestamp"], said["data"]["occurredAt"]))
    assert recorded_at - occurred_at > timedelta(days=4)


async def test_what_is_not_taken_comes_again_under_the_same_id(notifications: Notifications, peer: Receiver) -> None:
    answers = [204, 500, 302]
    peer.answers = answers.pop
    story = await listening(notifications, peer.url)
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "delivered")
    assert len(peer.asked) == 3
    assert len(set(peer.asked)) == len(peer.taken) == 1


async def test_a_receiver_that_hangs_is_asked_again_and_given_up(notifications: Notifications, peer: Receiver) -> None:
    peer.answers = lambda: HANGS
    story = await listening(notifications, peer.url)
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "failed")
    assert len(peer.asked) == 3


async def test_both_secrets_are_good_while_one_is_replaced(notifications: Notifications, peer: Receiver) -> None:
    story = await listening(notifications, peer.url)
    sealed = notifications.vault.seal(OTHER, places.WEBHOOK_SECRET)
    now = datetime.now(UTC)
    async with notifications.primary.acquire() as connection:
        await store.rotate(connection, uuid.UUID(story.merchant_id), sealed, now, now + timedelta(minutes=5))
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "delivered")
        # The old one is forgotten now, and the receiver has not changed over.
        async with notifications.primary.acquire() as connection:
            await store.rotate(connection, uuid.UUID(story.merchant_id), sealed, now, now)
        await notifications.plan(story.became("delivered"))
        await ends_as(notifications, story, "failed", "delivered")
        peer.secrets[:] = [OTHER]
        await notifications.plan(story.became("returned"))
        await ends_as(notifications, story, "delivered", "returned")


async def test_a_receiver_that_wants_no_more_is_believed_and_its_owner_told(
    notifications: Notifications, peer: Receiver
) -> None:
    peer.answers = lambda: 410
    story = await listening(notifications, peer.url)

    async def notices() -> int:
        query = "SELECT count(*) FROM notification.messages WHERE status = 'webhook_disabled' AND channel = 'email'"
        return int(await notifications.primary.fetchval(query))

    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "failed")
        await until(notices)
        await notifications.plan(story.became("delivered"))
        await ends_as(notifications, story, "suppressed", "delivered")
    assert await notices() == 1
    assert len(peer.asked) == 1


async def test_too_many_messages_that_failed_for_good_disable_a_webhook(notifications: Notifications) -> None:
    async with notifications.primary.acquire() as connection:
        merchant_id, now = uuid.uuid4(), datetime.now(UTC)
        await store.set_webhook(connection, merchant_id, b"sealed", now)
        said = [await store.failed(connection, merchant_id, 3, now) for _ in range(2)]
        await store.taken(connection, merchant_id)
        said += [await store.failed(connection, merchant_id, 3, now) for _ in range(4)]
        assert said == [False, False, False, False, True, False]
        webhook = await store.set_webhook(connection, merchant_id, b"another", now)
    assert (webhook.disabled_at, webhook.failures, webhook.secret_sealed) == (None, 0, b"sealed")


async def test_a_receiver_that_hangs_costs_the_others_nothing(notifications: Notifications, peer: Receiver) -> None:
    async with receiver() as other:
        other.secrets.append(SECRET)
        peer.answers = lambda: HANGS
        hung = await listening(notifications, peer.url)
        await notifications.plan(
            *(
                event
                for one in [hung.next_delivery() for _ in range(20)]
                for event in (one.created(), one.became("delivered"))
            )
        )
        well = await listening(notifications, other.url)
        async with sending(notifications.sender({"webhook": [carrier()]})):
            await ends_as(notifications, well, "delivered")
            assert (await notifications.states(hung))[("created", "webhook")] != "delivered"
            peer.answers = lambda: 204


# Not all of them are asked of a resolver, and all of them are connected to.
PRIVATE = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_webhook_leads_to_no_private_address(notifications: Notifications, peer: Receiver, host: str) -> None:
    story = await listening(notifications, peer.url.replace("127.0.0.1", host))
    async with sending(notifications.sender({"webhook": [carrier(private_receivers=False)]})):
        await ends_as(notifications, story, "failed")
    assert peer.asked == []


async def test_what_a_dead_sender_had_in_hand_is_repeated(notifications: Notifications, peer: Receiver) -> None:
    story = await listening(notifications, peer.url)
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "delivered")
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    await notifications.primary.execute(
        "UPDATE notification.attempts SET state = 'sending', lease_until = $1", long_ago
    )
    await notifications.primary.execute("UPDATE notification.messages SET state = 'sending' WHERE channel = 'webhook'")
    sweeper = notifications.sweeper(carrier())
    await sweeper.sweep()
    await ends_as(notifications, story, "outcome_unknown")
    await sweeper.look_up()
    async with sending(notifications.sender({"webhook": [carrier()]})):
        await ends_as(notifications, story, "delivered")
    assert len(peer.asked) == 2
    assert len(peer.taken) == 1
