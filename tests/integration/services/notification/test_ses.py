"""E-mail over Amazon SES: the send protocol against moto."""

from collections.abc import AsyncIterator

import pytest
from botocore.exceptions import EndpointConnectionError

from services.notification.sending.carriers import Carrier
from tests.mails import OUTGOING, mailing, sent, ses, settings
from tests.notifications import Notifications, sending
from tests.peers.ses import SesPeer
from tests.peers.twilio import Fault
from tests.texts import ends_as, mailed


@pytest.fixture(scope="module")
async def mail() -> AsyncIterator[tuple[SesPeer, Carrier]]:
    async with mailing() as made:
        yield made


@pytest.fixture
def peer(mail: tuple[SesPeer, Carrier]) -> SesPeer:
    mail[0].choose = lambda: Fault.NONE
    return mail[0]


@pytest.fixture
def carrier(mail: tuple[SesPeer, Carrier]) -> Carrier:
    return mail[1]


async def test_an_e_mail_is_sent_once_in_its_words_and_its_attempt_is_named(
    notifications: Notifications, carrier: Carrier, peer: SesPeer
) -> None:
    before = len(peer.mails)
    story, attempt_id = await sent(notifications, carrier)
    (mail,) = peer.mails[before:]
    assert "ORDER-1042" in mail.body
    (attempt,) = await notifications.attempts(story)
    assert attempt["provider_message_id"] == mail.id == peer.taken[str(attempt_id)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.TAKEN_THEN_HANG, Fault.TAKEN_THEN_RESET, Fault.HANG_BEFORE, Fault.RESET_BEFORE, Fault.SERVER_ERROR,
    ],
)  # fmt: skip
async def test_what_may_have_been_sent_is_called_unknown_and_asked_for_once(
    notifications: Notifications, carrier: Carrier, peer: SesPeer, fault: Fault
) -> None:
    peer.choose, before = lambda: fault, peer.asked
    await sent(notifications, carrier, "outcome_unknown")
    assert peer.asked == before + 1


async def test_a_yes_in_nonsense_is_a_yes_whose_receipt_names_the_attempt(
    notifications: Notifications, carrier: Carrier, peer: SesPeer
) -> None:
    peer.choose = lambda: Fault.TAKEN_THEN_GARBAGE
    story, attempt_id = await sent(notifications, carrier)
    (attempt,) = await notifications.attempts(story)
    assert (attempt["provider_message_id"], str(attempt_id) in peer.taken) == (None, True)


async def test_what_was_certainly_not_sent_goes_to_the_next_account(
    notifications: Notifications, carrier: Carrier, peer: SesPeer
) -> None:
    story = await mailed(notifications)
    nowhere, second = ses("http://127.0.0.1:1"), Carrier(carrier.provider, settings(peer.url), "ses:second")
    # It reads what it knows of AWS when it is first asked.
    with pytest.raises(EndpointConnectionError):
        await nowhere.provider.send(OUTGOING)
    async with sending(notifications.sender({"email": [nowhere, second]})):
        await ends_as(notifications, story, "sent", "created", "email")
    assert [a["provider"] for a in await notifications.attempts(story)] == ["ses", "ses:second"]
    await nowhere.provider.close()


async def test_who_sends_too_fast_is_sent_for_later(
    notifications: Notifications, carrier: Carrier, peer: SesPeer
) -> None:
    faults = [Fault.REFUSED_429] * 4
    peer.choose = lambda: faults.pop() if faults else Fault.NONE
    await sent(notifications, carrier)


async def test_what_ses_refuses_has_failed(notifications: Notifications, carrier: Carrier, peer: SesPeer) -> None:
    peer.choose = lambda: Fault.REJECTED_INVALID
    story, _ = await sent(notifications, carrier, "failed")
    (message,) = await notifications.messages(story)
    assert message["reason"] == "SES_MessageRejected"
