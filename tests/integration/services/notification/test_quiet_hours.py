"""Quiet hours hold for what is sent, whenever it was planned and whatever has kept it since."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.consumers import until
from tests.notifications import Notifications, Story, sending
from tests.peers.twilio import TwilioPeer, twilio_peer
from tests.texts import ends_as, texted, twilio

_HOUR_MIN, _DAY_MIN = 60, 1_440


@pytest.fixture
async def peer() -> AsyncIterator[TwilioPeer]:
    async with twilio_peer() as made:
        yield made


async def quiet_now(notifications: Notifications, *stories: Story) -> None:
    """Have the quiet hours of whoever the stories tell have begun an hour ago and end in an hour."""
    local = datetime.now(ZoneInfo("Asia/Kolkata"))
    minute = local.hour * 60 + local.minute
    for story in stories:
        (message,) = await notifications.messages(story)
        await notifications.primary.execute(
            "UPDATE notification.recipients SET quiet_from_min = $2, quiet_until_min = $3 WHERE id = $1",
            message["recipient_id"], (minute - _HOUR_MIN) % _DAY_MIN, (minute + _HOUR_MIN) % _DAY_MIN,
        )  # fmt: skip


async def test_what_is_tried_again_in_quiet_hours_waits_for_their_end(
    notifications: Notifications, peer: TwilioPeer
) -> None:
    story, urgent = await texted(notifications), await texted(notifications, "out_for_delivery")
    await notifications.primary.execute("UPDATE notification.messages SET refused_by = '{twilio}', rounds = 1")
    # It would be of no use when they are over, had its time not stood still.
    (planned,) = await notifications.messages(story)
    soon = datetime.now(UTC) + timedelta(minutes=30)
    await notifications.primary.execute(
        "UPDATE notification.messages SET expires_at = $2 WHERE id = $1", planned["id"], soon
    )
    await quiet_now(notifications, story, urgent)
    async with sending(notifications.sender({"sms": [twilio(peer), twilio(peer, name="second")]})):
        await ends_as(notifications, urgent, "sent", "out_for_delivery")
    (kept,) = await notifications.messages(story)
    waits = kept["send_after"] - datetime.now(UTC)
    assert (kept["state"], kept["attempts"], kept["refused_by"]) == ("planned", 0, [])
    assert timedelta(minutes=58) < waits <= timedelta(minutes=60)
    assert timedelta(minutes=29) < kept["expires_at"] - kept["send_after"] <= timedelta(minutes=30)
    assert len(peer.taken) == 1


async def test_what_somebody_asks_for_is_sent_in_quiet_hours(notifications: Notifications, peer: TwilioPeer) -> None:
    story = await texted(notifications)
    await notifications.primary.execute("UPDATE notification.messages SET requested_by = 'ops:1'")
    await quiet_now(notifications, story)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await ends_as(notifications, story, "sent")


async def test_whoever_changes_them_after_planning_is_heard(notifications: Notifications, peer: TwilioPeer) -> None:
    story = await texted(notifications)
    await quiet_now(notifications, story)
    async with sending(notifications.sender({"sms": [twilio(peer)]})):
        await until(lambda: _waits(notifications, story))
    assert peer.asked == 0


async def _waits(notifications: Notifications, story: Story) -> bool:
    (message,) = await notifications.messages(story)
    return bool(message["send_after"] > datetime.now(UTC))
