"""The trouble of one message, provider or receiver is no other's: real sockets, the real database."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.resilience.circuit import CircuitState
from libs.resilience.errors import AttemptTimeoutError
from libs.resilience.limits import DependencyLimits
from services.notification.providers.outgoing import Sought
from services.notification.providers.smtp import SmtpProvider, SmtpSettings
from services.notification.providers.webhook import WebhookProvider, WebhookSettings
from services.notification.sending.carriers import Carrier, Places
from services.notification.sending.outcomes import RetryLimits
from services.notification.sending.store import take
from services.notification.sending.taking import Taking
from services.notification.sending.waiting import Writer
from services.notification.templates.rendering import RenderLimits
from tests.consumers import until
from tests.mails import OUTGOING
from tests.notifications import QUICK, QUICK_RETRY, Notifications, Story, sending
from tests.peers.http import serving
from tests.peers.receiver import receiver
from tests.peers.twilio import Fault, TwilioPeer, twilio_peer
from tests.texts import LIMITS, ends_as, mailed, opened, texted, twilio
from tests.webhooks import SECRET, listening

RECEIVER = DependencyLimits(
    deadline_ms=12_000, attempt_ms=10_000, at_once_max=2, waiting_max=0, wait_ms_max=200, attempts_max=1,
    failures_max=1, open_ms=600_000,
)  # fmt: skip


@pytest.fixture
async def peer() -> AsyncIterator[TwilioPeer]:
    async with twilio_peer() as made:
        yield made


def smtp(port: int, limits: DependencyLimits) -> Carrier:
    settings = SmtpSettings(
        host="127.0.0.1", port=port, start_tls=False, sender="Lastmile <news@example.com>", limits=limits
    )
    return Carrier(SmtpProvider(settings), settings)


def webhook() -> Carrier:
    settings = WebhookSettings(private_receivers=True, receiver=RECEIVER)
    return opened(Carrier(WebhookProvider(settings), settings))


async def test_a_message_that_cannot_be_worded_fails_alone(notifications: Notifications, peer: TwilioPeer) -> None:
    poisoned, well = await texted(notifications), await texted(notifications)
    await notifications.primary.execute(
        "UPDATE notification.messages SET variables = '{}' WHERE delivery_id = $1", poisoned.delivery_id
    )
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, poisoned, "failed")
        await ends_as(notifications, well, "sent")
    (message,) = await notifications.messages(poisoned)
    assert (message["reason"], message["attempts"]) == ("NO_WORDS", 0)


@pytest.mark.parametrize("sealed", [b"gone.something", b"nonsense"])
async def test_a_message_that_does_not_open_waits_and_others_go_out(
    notifications: Notifications, peer: TwilioPeer, sealed: bytes
) -> None:
    closed, well = await texted(notifications), await texted(notifications)
    (message,) = await notifications.messages(closed)
    name = await notifications.primary.fetchval(
        "SELECT name_sealed FROM notification.recipients WHERE id = $1", message["recipient_id"]
    )
    set_name = "UPDATE notification.recipients SET name_sealed = $2 WHERE id = $1"
    await notifications.primary.execute(set_name, message["recipient_id"], sealed)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, well, "sent")
        assert (await notifications.states(closed))[("delivered", "sms")] == "planned"
        # Whoever has the keys has put them back.
        await notifications.primary.execute(set_name, message["recipient_id"], name)
        await ends_as(notifications, closed, "sent")


async def test_what_a_provider_says_in_characters_that_nobody_can_keep_ends_nobody(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.TAKEN_UNDER_A_NAME_THAT_NOBODY_CAN_KEEP
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "sent")
        peer.choose = lambda _: Fault.NONE
        await ends_as(notifications, await texted(notifications), "sent")
    assert [a["provider_message_id"] for a in await notifications.attempts(story)] == ["SM"]


async def test_a_channel_is_served_while_another_is_busy(notifications: Notifications, peer: TwilioPeer) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        forever = LIMITS.model_copy(update={"attempt_ms": 600_000, "deadline_ms": 600_300})
        one_at_a_time = twilio(peer, LIMITS.model_copy(update={"at_once_max": 1}))
        limits = QUICK.model_copy(update={"drain_s": 0.1})
        await mailed(notifications)
        routes = {"email": [smtp(port, forever)], "sms": [one_at_a_time]}
        async with sending(notifications.sender(routes, limits)):
            await until(lambda: _is_sending(notifications, "email"))
            await ends_as(notifications, await texted(notifications), "sent")


async def _is_sending(notifications: Notifications, channel: str) -> bool:
    query = "SELECT count(*) FROM notification.messages WHERE state = 'sending' AND channel = $1"
    return bool(await notifications.primary.fetchval(query, channel))


async def test_who_cannot_be_asked_what_became_of_it_is_not_taken_for_well() -> None:
    limits = LIMITS.model_copy(update={"failures_max": 2, "open_ms": 1, "attempts_max": 1})
    nobody = smtp(1, limits)
    for _ in range(2):
        with pytest.raises(Exception, match="smtp"):
            await nobody.send(OUTGOING)
    assert nobody.dependency.state is CircuitState.OPEN
    await until(lambda: nobody.dependency.is_probe_due)
    assert await nobody.look_up(Sought(OUTGOING, "", 0.0)) is None
    assert nobody.dependency.state is CircuitState.OPEN


async def test_what_a_provider_lists_says_nothing_of_its_sending(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.TAKEN_THEN_HANG
    carrier = twilio(peer, LIMITS.model_copy(update={"failures_max": 1, "open_ms": 1}))
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "outcome_unknown")
    await until(lambda: carrier.dependency.is_probe_due)
    await notifications.sweeper(carrier).look_up()
    await ends_as(notifications, story, "sent")
    assert carrier.dependency.state is CircuitState.OPEN


async def test_a_receiver_that_hangs_is_no_failure_of_all_webhooks() -> None:
    verdict = webhook().provider.classify(AttemptTimeoutError(10_000))
    assert verdict is not None
    assert not verdict.counts


def test_all_webhooks_may_not_end_before_one_receiver_does() -> None:
    equal = DependencyLimits(deadline_ms=15_000, attempt_ms=12_000, wait_ms_max=2_000)
    with pytest.raises(ValueError, match=r"limits\.attempt_ms must be longer than receiver\.deadline_ms"):
        WebhookSettings(limits=equal)


async def test_a_receiver_that_is_down_costs_no_attempts(notifications: Notifications) -> None:
    story = await listening(notifications, "http://127.0.0.1:1/nobody")
    async with sending(notifications.sender({"webhook": [webhook()]})):
        await until(lambda: _attempts(notifications, story, 1))
        others = await _burst(notifications, story)
        await until(lambda: _all_put_off(notifications, others))
        assert [await notifications.attempts(one) for one in others] == [[]] * len(others)


async def test_a_receiver_gets_no_more_at_once_than_it_may(notifications: Notifications) -> None:
    async with receiver() as peer:
        peer.secrets.append(SECRET)
        story = await listening(notifications, peer.url)
        others = await _burst(notifications, story)
        # Whoever is busy is not down: that would be thought of again only when all this is over.
        retry = QUICK_RETRY.model_copy(update={"not_asked_s": 600.0, "busy_s": 0.01})
        async with sending(notifications.sender({"webhook": [webhook()]}, retry=retry)):
            await until(lambda: len(peer.taken) == 1 + len(others))
    for one in others:
        assert len(await notifications.attempts(one)) == 1


async def test_what_is_told_of_together_is_put_off_together(notifications: Notifications) -> None:
    story = notifications.story()
    first = await texted(notifications)
    (row,) = await notifications.messages(first)
    async with notifications.primary.acquire() as connection:
        (waiting,) = await take(connection, "sms", row["send_after"] + timedelta(seconds=1), 1)
    now = waiting.planned_at + timedelta(hours=1)
    younger = replace(waiting, id=uuid.UUID(story.delivery_id), planned_at=now)
    writer = Writer(notifications.vault, notifications.book, RenderLimits())
    taking = Taking(Places((), None, 0), writer, now, RetryLimits())
    assert not taking.prepare((waiting, younger))
    assert len({taking.postponed[one.id] for one in (waiting, younger)}) == 1
    assert taking.postponed[younger.id] >= now + timedelta(minutes=10)


async def _burst(notifications: Notifications, story: Story) -> list[Story]:
    others = [story.next_delivery() for _ in range(12)]
    await notifications.plan(*(one.created() for one in others))
    return others


async def _attempts(notifications: Notifications, story: Story, count: int) -> bool:
    return len(await notifications.attempts(story)) >= count


async def _all_put_off(notifications: Notifications, stories: list[Story]) -> bool:
    messages = [message for story in stories for message in await notifications.messages(story)]
    return all(message["send_after"] > message["planned_at"] for message in messages)
