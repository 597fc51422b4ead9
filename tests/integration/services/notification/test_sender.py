"""The send protocol over real sockets: what was taken is sent once, what is unknown is called so, the rest goes on."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from services.notification.planning.rules import BULK, FIRST, URGENT
from services.notification.recipients import suppressing
from services.notification.sending.sender import SendLimits
from tests.consumers import until
from tests.notifications import Notifications, phone_number, sending
from tests.peers.twilio import Fault, TwilioPeer, twilio_peer
from tests.texts import LIMITS, ends_as, texted, twilio


@pytest.fixture
async def peer() -> AsyncIterator[TwilioPeer]:
    async with twilio_peer() as made:
        yield made


async def test_a_message_is_sent_once_in_its_words(notifications: Notifications, peer: TwilioPeer) -> None:
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "sent")
    (taken,) = peer.taken
    assert taken.body.startswith("Your parcel ORDER-1042 from Chai & Co was delivered at ")
    (attempt,) = await notifications.attempts(story)
    assert (attempt["provider_message_id"], str(attempt["id"])) == (taken.sid, taken.attempt_id)
    assert taken.body.encode() not in attempt["content_sealed"]


@pytest.mark.parametrize(
    "fault", [Fault.TAKEN_THEN_HANG, Fault.TAKEN_THEN_RESET, Fault.HANG_BEFORE, Fault.RESET_BEFORE, Fault.SERVER_ERROR]
)
async def test_what_may_have_been_sent_is_called_unknown_and_never_sent_again(
    notifications: Notifications, peer: TwilioPeer, fault: Fault
) -> None:
    peer.choose = lambda _: fault
    story = await texted(notifications)
    async with (
        twilio_peer() as second,
        sending(notifications.sender({"sms": [twilio(peer), twilio(second, name="b")]})),
    ):
        await ends_as(notifications, story, "outcome_unknown")
        # Both would take it now.
        peer.choose = lambda _: Fault.NONE
        other = await texted(notifications)
        await ends_as(notifications, other, "sent")
        assert (await notifications.states(story))[("delivered", "sms")] == "outcome_unknown"
        assert second.asked == 0
    assert peer.asked == 2


async def test_the_provider_is_asked_what_became_of_it(notifications: Notifications, peer: TwilioPeer) -> None:
    peer.choose = lambda _: Fault.TAKEN_THEN_HANG
    story, carrier = await texted(notifications), twilio(peer)
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "outcome_unknown")
    await notifications.sweeper(carrier).look_up()
    assert (await notifications.states(story))[("delivered", "sms")] == "sent"
    assert [a["provider_message_id"] for a in await notifications.attempts(story)] == [peer.taken[0].sid]


async def test_what_was_never_taken_stays_unknown_when_it_is_sought(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.HANG_BEFORE
    story, carrier = await texted(notifications), twilio(peer)
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "outcome_unknown")
    await notifications.sweeper(carrier).look_up()
    assert (await notifications.states(story))[("delivered", "sms")] == "outcome_unknown"


async def test_everyone_is_asked_about_however_many_are_unknown(notifications: Notifications, peer: TwilioPeer) -> None:
    peer.choose = lambda _: Fault.TAKEN_THEN_RESET
    stories = [await texted(notifications) for _ in range(30)]
    narrow = LIMITS.model_copy(update={"at_once_max": 8, "waiting_max": 0})
    async with sending(notifications.sender({"sms": [twilio(peer, narrow)]})):
        for story in stories:
            await ends_as(notifications, story, "outcome_unknown")
    await notifications.sweeper(twilio(peer, narrow)).look_up()
    assert [(await notifications.states(story))[("delivered", "sms")] for story in stories] == ["sent"] * 30


async def test_nonsense_of_a_provider_settles_nothing_and_ends_nobody(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.TAKEN_THEN_HANG
    story, carrier = await texted(notifications), twilio(peer)
    async with sending(notifications.sender({"sms": [carrier]})):
        await ends_as(notifications, story, "outcome_unknown")
    peer.finds = [17]
    await notifications.sweeper(carrier).look_up()
    assert (await notifications.states(story))[("delivered", "sms")] == "outcome_unknown"


async def test_what_was_certainly_not_sent_goes_to_the_next_provider(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    story = await texted(notifications)
    nowhere = TwilioPeer(port=1)
    async with sending(notifications.sender({"sms": [twilio(nowhere), twilio(peer, name="second")]})):
        await ends_as(notifications, story, "sent")
    assert [a["provider"] for a in await notifications.attempts(story)] == ["twilio", "second"]
    assert len(peer.taken) == 1


async def test_a_provider_that_refuses_for_now_is_asked_again_later(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    faults = [Fault.REFUSED_429] * 5
    peer.choose = lambda _: faults.pop() if faults else Fault.NONE
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "sent")
    assert len(peer.taken) == 1


async def test_who_is_refused_by_everyone_for_too_long_has_failed(notifications: Notifications) -> None:
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [twilio(TwilioPeer(port=1))]})):
        await ends_as(notifications, story, "failed")
    # One attempt, and one after each of the two waits.
    assert len(await notifications.attempts(story)) == 3


async def test_an_invalid_number_has_failed_and_gets_nothing_more(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.REJECTED_INVALID
    story = await texted(notifications)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "failed")
        peer.choose = lambda _: Fault.NONE
        await until(lambda: _suppressed(notifications))
        await notifications.plan(story.became("cancelled"))
        await ends_as(notifications, story, "suppressed", "cancelled")
    assert peer.taken == []


async def _suppressed(notifications: Notifications) -> bool:
    return bool(await notifications.primary.fetchval("SELECT count(*) FROM notification.suppressions"))


async def test_an_address_that_was_suppressed_after_planning_gets_nothing(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    story, phone = notifications.story(), phone_number()
    await notifications.plan(story.created(phone), story.became("delivered"))
    async with notifications.primary.acquire() as connection:
        await suppressing.suppress(connection, notifications.vault, "sms", phone, "STOP")
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "suppressed")
    assert peer.asked == 0


@pytest.mark.parametrize(("before", "then"), [(BULK, URGENT), (URGENT, FIRST)])
async def test_what_is_more_urgent_overtakes_what_waits(
    notifications: Notifications, peer: TwilioPeer, before: int, then: int
) -> None:
    campaign = [await texted(notifications) for _ in range(30)]
    set_priority = "UPDATE notification.messages SET priority = $1 WHERE status = $2"
    await notifications.primary.execute(set_priority, before, "delivered")
    urgent = await texted(notifications, "out_for_delivery")
    await notifications.primary.execute(set_priority, then, "out_for_delivery")
    one_at_a_time = LIMITS.model_copy(update={"at_once_max": 1})
    async with sending(notifications.sender({"sms": [twilio(peer, one_at_a_time)]}, SendLimits(poll_s=0.01))):
        await ends_as(notifications, campaign[-1], "sent")
    (row,) = await notifications.attempts(urgent)
    assert peer.taken[0].sid == row["provider_message_id"]


async def test_what_a_dead_sender_had_in_hand_is_called_unknown(notifications: Notifications, peer: TwilioPeer) -> None:
    story = await texted(notifications)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "sent")
    # As it is between the commit and the answer.
    await notifications.primary.execute(
        "UPDATE notification.attempts SET state = 'sending', lease_until = $1, provider_message_id = NULL", long_ago
    )
    await notifications.primary.execute("UPDATE notification.messages SET state = 'sending'")
    carrier = twilio(peer)
    sweeper = notifications.sweeper(carrier)
    await sweeper.sweep()
    assert (await notifications.states(story))[("delivered", "sms")] == "outcome_unknown"
    await sweeper.look_up()
    assert (await notifications.states(story))[("delivered", "sms")] == "sent"
    assert len(peer.taken) == 1


async def test_a_provider_that_is_down_is_left_alone_and_comes_back(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    peer.choose = lambda _: Fault.SERVER_ERROR
    soon_open = LIMITS.model_copy(update={"failures_max": 3, "at_once_max": 1, "open_ms": 300})
    stories = [await texted(notifications) for _ in range(12)]
    carrier = twilio(peer, soon_open)
    async with sending(notifications.sender({"sms": [carrier]})):
        await until(lambda: peer.asked >= 3)
        peer.choose = lambda _: Fault.NONE
        await ends_as(notifications, stories[-1], "sent")
    states = [(await notifications.states(one))[("delivered", "sms")] for one in stories]
    assert states.count("outcome_unknown") <= 4
    assert len(peer.taken) == states.count("sent") == 12 - states.count("outcome_unknown")


async def test_two_senders_share_what_is_due(notifications: Notifications, peer: TwilioPeer) -> None:
    stories = [await texted(notifications) for _ in range(40)]

    def no_fault(_: Mapping[str, str]) -> Fault:
        return Fault.NONE

    peer.choose = no_fault
    one, two = (notifications.sender({"sms": [twilio(peer)]}) for _ in range(2))
    async with sending(one), sending(two):
        for story in stories:
            await ends_as(notifications, story, "sent")
    assert len({message.attempt_id for message in peer.taken}) == len(peer.taken) == 40
