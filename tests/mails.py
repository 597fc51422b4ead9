"""E-mails of tests over Amazon SES, which moto plays."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.ids import new_id
from libs.resilience.limits import DependencyLimits
from services.notification.providers.outgoing import Outgoing
from services.notification.providers.ses import SesProvider, SesSettings
from services.notification.sending.carriers import Carrier
from services.notification.templates.rendering import Words
from tests.notifications import Notifications, Story, sending
from tests.peers.ses import CREDENTIALS, REGION, SENDER, SET, SesPeer, ses_peer
from tests.peers.sns import TOPIC
from tests.texts import LIMITS, ends_as, mailed

PATIENT = LIMITS.model_copy(update={"attempt_ms": 60_000, "deadline_ms": 61_000})

OUTGOING = Outgoing(new_id(), new_id(), "email", None, "first@example.com", Words("First", "of all"))


def settings(peer_url: str, sns_url: str = "", limits: DependencyLimits = LIMITS) -> SesSettings:
    """What a sender, or a receiver of receipts, is told."""
    return SesSettings(
        region=REGION, sender=SENDER, configuration_set=SET, endpoint_url=peer_url, topic_arn=TOPIC, sns_url=sns_url,
        limits=limits,
    )  # fmt: skip


def ses(peer_url: str, name: str = "ses") -> Carrier:
    """An account at SES."""
    told = settings(peer_url)
    return Carrier(SesProvider(told), told, name)


@asynccontextmanager
async def mailing() -> AsyncIterator[tuple[SesPeer, Carrier]]:
    """SES by moto, and an account there that has been used."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in CREDENTIALS.items():
            patched.setenv(name, value)
        async with ses_peer() as peer:
            # Both sides read what they know of AWS when they are first asked: it takes longer than tests wait.
            patient, carrier = SesProvider(settings(peer.url, limits=PATIENT)), ses(peer.url)
            for provider in (patient, carrier.provider):
                await provider.send(OUTGOING)
            yield peer, carrier
            for provider in (patient, carrier.provider):
                await provider.close()


async def sent(notifications: Notifications, carrier: Carrier, state: str = "sent") -> tuple[Story, uuid.UUID]:
    """Send one e-mail, until it has come to a state; return its story and its attempt."""
    story = await mailed(notifications)
    async with sending(notifications.sender({"email": [carrier]})):
        await ends_as(notifications, story, state, "created", "email")
    return story, (await notifications.attempts(story))[0]["id"]
