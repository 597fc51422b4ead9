"""E-mails over SMTP to a real server: taken, refused for now, refused for good, and gone in the middle."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.header import decode_header, make_header

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from libs.ids import new_id
from libs.resilience.errors import CallFailedError
from libs.resilience.limits import DependencyLimits
from services.notification.providers.outgoing import Outgoing, RejectedError
from services.notification.providers.smtp import SmtpProvider, SmtpSettings
from services.notification.sending.carriers import Carrier
from services.notification.templates.rendering import Words

LIMITS = DependencyLimits(deadline_ms=30_000, attempt_ms=20_000, wait_ms_max=500, attempts_max=1)


class Mailbox:
    """A server's handler that answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.to_recipient = "250 OK"
        self.to_message = "250 OK"
        self.hangs_up = False

    async def handle_RCPT(  # noqa: N802 - named by aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.hangs_up:
            server.transport.abort()
            return "250 nobody hears this"
        if self.to_message.startswith("250"):
            self.got.append(bytes(envelope.content or b""))
        return self.to_message


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def carrier(mailbox: Mailbox) -> AsyncIterator[Carrier]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, loop=loop, enable_SMTPUTF8=True), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = SmtpSettings(
        host="127.0.0.1", port=port, start_tls=False, sender="Lastmile <news@example.com>", limits=LIMITS
    )
    yield Carrier(SmtpProvider(settings), settings)
    server.close()


def outgoing() -> Outgoing:
    return Outgoing(
        new_id(), new_id(), "email", None, "asha@example.com", Words("पार्सल ORDER-1042", "नमस्ते, it is there.")
    )


async def test_an_email_arrives_as_it_was_written_under_its_attempts_name(mailbox: Mailbox, carrier: Carrier) -> None:
    one = outgoing()
    accepted = await carrier.send(one)
    message = message_from_bytes(mailbox.got[0])
    assert str(make_header(decode_header(message["Subject"]))) == "पार्सल ORDER-1042"
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().strip() == "नमस्ते, it is there."
    assert message["Message-ID"] == accepted.provider_message_id == f"<{one.attempt_id}@example.com>"
    assert message["To"] == "asha@example.com"


@pytest.mark.parametrize("code", ["550", "553"])
async def test_a_mailbox_that_there_is_not_is_a_hard_bounce(mailbox: Mailbox, carrier: Carrier, code: str) -> None:
    mailbox.to_recipient = f"{code} no such mailbox"
    with pytest.raises(RejectedError) as error:
        await carrier.send(outgoing())
    assert (error.value.code, error.value.suppress) == (f"SMTP_{code}", "HARD_BOUNCE")


async def test_words_that_are_refused_are_no_fault_of_the_address(mailbox: Mailbox, carrier: Carrier) -> None:
    mailbox.to_message = "554 looks like spam"
    with pytest.raises(RejectedError) as error:
        await carrier.send(outgoing())
    assert (error.value.code, error.value.suppress) == ("SMTP_554", "")


@pytest.mark.parametrize("place", ["to_recipient", "to_message"])
async def test_what_is_refused_for_now_was_certainly_not_sent(mailbox: Mailbox, carrier: Carrier, place: str) -> None:
    setattr(mailbox, place, "451 later")
    with pytest.raises(CallFailedError) as error:
        await carrier.send(outgoing())
    assert error.value.certainly_did_not_happen
    assert mailbox.got == []


async def test_nobody_knows_of_a_message_whose_connection_was_lost(mailbox: Mailbox, carrier: Carrier) -> None:
    mailbox.hangs_up = True
    with pytest.raises(CallFailedError) as error:
        await carrier.send(outgoing())
    assert not error.value.certainly_did_not_happen


async def test_a_relay_that_is_not_there_has_sent_nothing() -> None:
    settings = SmtpSettings(host="127.0.0.1", port=1, start_tls=False, sender="news@example.com", limits=LIMITS)
    with pytest.raises(CallFailedError) as error:
        await Carrier(SmtpProvider(settings), settings).send(outgoing())
    assert error.value.certainly_did_not_happen
