"""What errors of a request over HTTP mean: whether it certainly was not sent is what failover hangs on."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from libs.resilience.errors import AttemptTimeoutError, Outcome
from services.notification.providers.http_clients import (
    Answer,
    AnswerTooLongError,
    HttpClient,
    HttpProviderSettings,
    StatusError,
    http_verdict,
)
from tests.peers.http import read_request, serving, write_json

SETTINGS = HttpProviderSettings(answer_bytes_max=1_000)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient(SETTINGS)
    yield made
    await made.close()


def status(code: int, **headers: str) -> StatusError:
    return StatusError(Answer(code, headers, b""))


@pytest.mark.parametrize(
    ("error", "counts", "retryable", "outcome"),
    [
        (aiohttp.ConnectionTimeoutError(""), True, True, Outcome.CERTAINLY_NOT),
        (aiohttp.SocketTimeoutError(""), True, False, Outcome.UNKNOWN),
        (aiohttp.ServerDisconnectedError(""), True, False, Outcome.UNKNOWN),
        (aiohttp.ClientOSError("reset"), True, False, Outcome.UNKNOWN),
        (AnswerTooLongError(""), True, False, Outcome.UNKNOWN),
        (AttemptTimeoutError(100), True, False, Outcome.UNKNOWN),
        (status(500), True, False, Outcome.UNKNOWN),
        (status(429, **{"retry-after": "7"}), False, True, Outcome.CERTAINLY_NOT),
        (status(404), False, False, Outcome.CERTAINLY_NOT),
    ],
)
def test_what_an_error_means(error: Exception, counts: bool, retryable: bool, outcome: Outcome) -> None:
    verdict = http_verdict(error)
    assert verdict is not None
    assert (verdict.counts, verdict.retryable, verdict.outcome) == (counts, retryable, outcome)


def test_errors_of_our_own_are_nobodys_fault() -> None:
    assert http_verdict(KeyError("id")) is None


async def test_who_cannot_be_connected_to_has_certainly_not_got_it(client: HttpClient) -> None:
    with pytest.raises(aiohttp.ClientConnectorError) as raised:
        await client.ask("POST", "http://127.0.0.1:1/")
    verdict = http_verdict(raised.value)
    assert verdict is not None
    assert verdict.outcome is Outcome.CERTAINLY_NOT


@pytest.mark.parametrize("length", [2, 998, 999, 5_000_000])
async def test_an_answer_is_read_whole_or_not_at_all(client: HttpClient, length: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader) is not None:
            await write_json(writer, 200, "x" * (length - 2))

    async with serving(serve) as port:
        asked = client.ask("GET", f"http://127.0.0.1:{port}/")
        if length > SETTINGS.answer_bytes_max:
            with pytest.raises(AnswerTooLongError):
                await asked
        else:
            assert len((await asked).json()) == length - 2
