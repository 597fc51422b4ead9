"""Why an attempt failed, by name: what a merchant looks for whose webhook nothing comes to."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest

from libs.embedded.free_ports import free_ports
from libs.resilience.errors import CallFailedError, CircuitOpenError, DeadlineExceededError, DependencyError, Outcome
from libs.resilience.limits import DependencyLimits
from services.notification.providers.outgoing import Outgoing
from services.notification.providers.webhook import WebhookProvider, WebhookSettings
from services.notification.sending.carriers import Carrier, end_of
from services.notification.sending.outcomes import AttemptEnd
from services.notification.templates.rendering import Words
from tests.peers.http import serving
from tests.peers.receiver import HANGS, Receiver, receiver
from tests.webhooks import SECRET

QUICK = DependencyLimits(
    deadline_ms=10_000, attempt_ms=1_500, at_once_max=2, waiting_max=2, wait_ms_max=200, attempts_max=1,
    failures_max=100, open_ms=200,
)  # fmt: skip


@pytest.fixture
async def peer() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


async def end_at(url: str, *, private_receivers: bool = True) -> tuple[AttemptEnd, str]:
    """How an attempt to post there ends."""
    settings = WebhookSettings(private_receivers=private_receivers, receiver=QUICK)
    carrier = Carrier(WebhookProvider(settings), settings)
    outgoing = Outgoing(uuid.uuid4(), uuid.uuid4(), "webhook", uuid.uuid4(), url, Words("", "{}"), (SECRET,))
    try:
        with pytest.raises(DependencyError) as raised:
            await carrier.send(outgoing)
    finally:
        await carrier.provider.close()
    end, reason, _ = end_of(raised.value)
    return end, reason


@pytest.mark.parametrize(("status", "reason"), [(503, "HTTP_503"), (404, "HTTP_404"), (302, "HTTP_302")])
async def test_an_answer_that_is_no_success_is_named_by_its_status(peer: Receiver, status: int, reason: str) -> None:
    peer.answers = lambda: status
    assert await end_at(peer.url) == (AttemptEnd.NOT_SENT, reason)


async def test_a_receiver_that_hangs_timed_out(peer: Receiver) -> None:
    peer.answers = lambda: HANGS
    assert await end_at(peer.url) == (AttemptEnd.NOT_SENT, "TIMED_OUT")


async def test_nobody_listens(peer: Receiver) -> None:
    assert await end_at(f"http://127.0.0.1:{free_ports(1)[0]}/") == (AttemptEnd.NOT_SENT, "NOT_CONNECTED")


async def test_what_speaks_no_tls_is_said_to() -> None:
    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(speak_plainly) as port:
        assert await end_at(f"https://127.0.0.1:{port}/") == (AttemptEnd.NOT_SENT, "TLS_FAILED")


async def test_a_connection_that_ends_before_the_answer_is_lost() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with serving(hang_up) as port:
        assert await end_at(f"http://127.0.0.1:{port}/") == (AttemptEnd.NOT_SENT, "CONNECTION_LOST")


async def test_what_is_no_http_is_unreadable() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()

    async with serving(talk) as port:
        assert await end_at(f"http://127.0.0.1:{port}/") == (AttemptEnd.NOT_SENT, "ANSWER_UNREADABLE")


async def test_an_address_that_is_not_public_is_forbidden(peer: Receiver) -> None:
    assert await end_at(peer.url, private_receivers=False) == (AttemptEnd.NOT_SENT, "ADDRESS_FORBIDDEN")


def test_a_name_that_nobody_knows_is_said_to_be() -> None:
    key = aiohttp.client_reqrep.ConnectionKey("shop.invalid", 443, True, True, None, None, None)
    cause = aiohttp.ClientConnectorDNSError(key, OSError("not known"))
    failed = CallFailedError("webhook", 1, cause, Outcome.CERTAINLY_NOT, None)
    assert end_of(failed) == (AttemptEnd.NOT_SENT, "NAME_NOT_FOUND", "")


def test_what_nobody_has_thought_of_keeps_a_name() -> None:
    failed = CallFailedError("webhook", 1, ValueError("odd"), Outcome.CERTAINLY_NOT, None)
    assert end_of(failed) == (AttemptEnd.NOT_SENT, "PROVIDER_FAILED", "")
    assert end_of(DeadlineExceededError("x", Outcome.UNKNOWN)) == (AttemptEnd.UNKNOWN, "TIMED_OUT", "")
    assert end_of(CircuitOpenError("x", "open", 1)) == (AttemptEnd.NOT_ASKED, "PROVIDER_DOWN", "")
