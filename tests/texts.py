"""Messages of tests: stories with one to send, and the provider that carries texts to the peer."""

import uuid

from libs.resilience.limits import DependencyLimits
from services.notification.providers.twilio import TwilioProvider, TwilioSettings
from services.notification.sending.carriers import Carrier
from tests.consumers import until
from tests.notifications import Notifications, Story, phone_number
from tests.peers.twilio import ACCOUNT, CALLBACK_URL, SENDER, TOKEN, TwilioPeer

LIMITS = DependencyLimits(
    deadline_ms=2_500, attempt_ms=1_500, at_once_max=16, waiting_max=64, wait_ms_max=200, failures_max=50, open_ms=200,
    backoff_ms=1, backoff_ms_max=5, return_ms=0,
)  # fmt: skip

_OPENED: list[Carrier] = []


def opened(carrier: Carrier) -> Carrier:
    """Have a carrier's connections be closed when the test has ended."""
    _OPENED.append(carrier)
    return carrier


async def close_opened() -> None:
    """Close them."""
    while _OPENED:
        await _OPENED.pop().provider.close()


def twilio(peer: TwilioPeer, limits: DependencyLimits = LIMITS, name: str = "twilio") -> Carrier:
    settings = TwilioSettings(
        base_url=peer.base_url, account_sid=ACCOUNT, auth_token=TOKEN, sender=SENDER, limits=limits,
        callback_url=CALLBACK_URL,
    )  # fmt: skip
    return opened(Carrier(TwilioProvider(settings), settings, name))


async def texted(notifications: Notifications, status: str = "delivered") -> Story:
    """A story whose customer is to get one text message."""
    story = notifications.story()
    await notifications.plan(*story.prologue(), story.created(phone_number()), story.became(status))
    return story


async def mailed(notifications: Notifications) -> Story:
    """A story whose customer is to get one e-mail."""
    story = notifications.story()
    await notifications.plan(*story.prologue(), story.created(email=f"{uuid.uuid4().hex}@example.com"))
    return story


async def ends_as(
    notifications: Notifications, story: Story, state: str, status: str = "delivered", channel: str = "sms"
) -> None:
    async def has() -> bool:
        return (await notifications.states(story)).get((status, channel)) == state

    try:
        await until(has)
    except TimeoutError:
        raise AssertionError(await notifications.messages(story)) from None
