"""A client for providers' HTTP APIs, and what its errors mean. It is aiohttp, whose parser is not Python.

StatusError              an answer came, and it is not a success
aiohttp.ClientError      no answer came, or no whole one; some of these are from before anything was sent
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import Field
from yarl import URL

from libs.resilience.errors import AttemptTimeoutError, Outcome
from libs.resilience.statuses import status_verdict
from libs.resilience.verdict import Verdict
from services.notification.providers.base import ProviderSettings
from services.notification.providers.outgoing import NamedError

# Nothing of the request was sent.
NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_REDIRECT = 300


class HttpProviderSettings(ProviderSettings):
    """What every provider with an HTTP API is told."""

    connect_ms: int = Field(
        3_000,
        gt=0,
        description="Longest time to connect, names included: whoever cannot be reached has certainly not sent it",
    )
    answer_bytes_max: int = Field(1_000_000, gt=0, description="Longest answer that is read")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with all that it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what it says. Raises ValueError."""
        return json.loads(self.body)

    def checked(self) -> "Answer":
        """Return it, if it is a success. Raises StatusError."""
        if self.status >= _REDIRECT:
            raise StatusError(self)
        return self


class StatusError(NamedError):
    """An answer came that is not a success."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP_{answer.status}", f"status {answer.status}")
        self.answer = answer


class AnswerTooLongError(aiohttp.ClientError):
    """An answer is longer than what is read."""


class HttpClient:
    """So many connections, kept. Made where an event loop runs; `headers` go with every request."""

    def __init__(self, settings: HttpProviderSettings, headers: Mapping[str, str] | None = None) -> None:
        self._bytes_max = settings.answer_bytes_max
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.limits.at_once_max),
            # The dependency bounds each attempt.
            timeout=aiohttp.ClientTimeout(total=None, connect=settings.connect_ms / 1000),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )

    async def ask(self, verb: str, url: str | URL, **told: Any) -> Answer:
        """Ask once; `told` as aiohttp has it. Raises aiohttp.ClientError."""
        async with self._session.request(verb, url, allow_redirects=False, **told) as response:
            body = b""
            while part := await response.content.readany():
                body += part
                if len(body) > self._bytes_max:
                    raise AnswerTooLongError(f"longer than {self._bytes_max} bytes")
            return Answer(response.status, response.headers, body)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def http_verdict(error: Exception) -> Verdict | None:
    """Return what an error of a request means that must not be made twice."""
    if isinstance(error, StatusError):
        return status_verdict(error.answer.status, error.answer.headers, is_idempotent=False)
    if isinstance(error, NOT_SENT):
        return Verdict(counts=True, retryable=True, outcome=Outcome.CERTAINLY_NOT)
    if isinstance(error, aiohttp.ClientError | AttemptTimeoutError):
        return Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)
    return None
