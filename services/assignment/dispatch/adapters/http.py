"""Any network with a JSON API over HTTP: its mapping says how its calls look."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

import httpx

from libs.resilience.errors import Outcome
from libs.resilience.http_verdicts import http_verdict
from libs.resilience.verdict import Verdict
from services.assignment.dispatch.adapters.base import (
    GarbledAnswerError,
    NetworkGoneError,
    NetworkRefusedError,
    Page,
    Reply,
)
from services.assignment.dispatch.mapping import CallMapping, picked
from services.assignment.dispatch.network import NetworkConfig, Secrets

# It knows no such thing, or no more.
_GONE = frozenset({404, 410})
# No to this offer, rather than to us or to now.
_REFUSALS = frozenset({400, 409, 422})
_GARBLED = Verdict(counts=True, retryable=True, outcome=Outcome.UNKNOWN)


class HttpNetwork:
    """A network's JSON API. Each call carries an Idempotency-Key, so that again is harmless."""

    name: ClassVar[str] = "http"
    sends: ClassVar[bool] = True

    def __init__(self, config: NetworkConfig, token_reread_s: float) -> None:
        if config.base_url is None:
            raise ValueError(f"network {config.code}: adapter http needs a base_url")
        self._config = config
        self._token = Secrets([config.api_token], token_reread_s)
        # A missing one stops the start.
        self._token.values()
        limits = config.limits
        self._client = httpx.AsyncClient(
            base_url=str(config.base_url).rstrip("/"),
            # The attempt's time limit is the dependency's; what waits for nothing is its bulkhead.
            timeout=httpx.Timeout(None, connect=limits.attempt_ms / 1000),
            limits=httpx.Limits(max_connections=limits.at_once_max + 4, max_keepalive_connections=limits.at_once_max),
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def verdict(self, error: Exception) -> Verdict | None:
        """Say what an error of a call means."""
        if isinstance(error, NetworkRefusedError):
            return Verdict(counts=False, retryable=False, outcome=Outcome.CERTAINLY_NOT)
        if isinstance(error, GarbledAnswerError):
            return _GARBLED
        verdict = http_verdict(error, is_idempotent=True)
        if verdict is not None and verdict.is_answer:
            # No to everything, such as for a credential or a path that is wrong: as good as down.
            return Verdict(counts=True, retryable=False, outcome=Outcome.CERTAINLY_NOT)
        return verdict

    async def offer(self, values: Mapping[str, Any], key: str) -> Reply:
        """Make an offer."""
        call = self._config.mapping.offer
        answer = await self._tell(call, values, key)
        said = picked(answer, call.status) if call.status else None
        return {"accepted": Reply.ACCEPTED, "rejected": Reply.REJECTED}.get(str(said), Reply.TAKEN_NOTE)

    async def end(self, values: Mapping[str, Any], key: str) -> None:
        """Tell that an offer is over."""
        with suppress(NetworkGoneError):
            await self._tell(self._config.mapping.end, values, key)

    async def ping(self) -> None:
        """Ask whether it works."""
        await self._ask(self._config.mapping.health, {}, "")

    async def poll(self, cursor: str) -> Page:
        """Return what has happened since `cursor`."""
        mapping = self._config.mapping
        answer = await self._ask(mapping.updates, {"cursor": cursor}, "")
        updates, after = picked(answer, mapping.updates_items), picked(answer, mapping.updates_cursor)
        if not isinstance(updates, list) or not isinstance(after, str | int):
            raise GarbledAnswerError("no updates, or no place to go on from")
        return Page(updates, str(after))

    async def _tell(self, call: CallMapping, values: Mapping[str, Any], key: str) -> Any:
        """Make a call that is about one offer: what is wrong may be that offer."""
        try:
            return await self._ask(call, values, key)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status in _GONE:
                raise NetworkGoneError(f"{call.path} answers {status}") from None
            if status in _REFUSALS:
                raise NetworkRefusedError(f"{call.path} answers {status}") from None
            raise

    async def _ask(self, call: CallMapping, values: Mapping[str, Any], key: str) -> Any:
        """Return the JSON of the answer. Raises HTTPStatusError for a status that is no success."""
        # An answer is as long as it looks.
        headers = {"Accept-Encoding": "identity"} | ({"Idempotency-Key": key} if key else {})
        for token in self._token.values():
            headers["Authorization"] = f"Bearer {token}"
        body = call.body_of(values)
        async with self._client.stream(call.method, call.path_of(values), json=body, headers=headers) as response:
            raw = await self._body_of(response)
        if response.is_success:
            return _json_of(raw)
        said = f"{call.path} answers {response.status_code}"
        raise httpx.HTTPStatusError(said, request=response.request, response=response)

    async def _body_of(self, response: httpx.Response) -> bytes:
        chunks, left = [], self._config.answer_bytes_max
        async for chunk in response.aiter_bytes():
            left -= len(chunk)
            if left < 0:
                raise GarbledAnswerError(f"an answer of more than {self._config.answer_bytes_max} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _json_of(raw: bytes) -> Any:
    if not raw:
        return {}
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise GarbledAnswerError("an answer that is no JSON") from None
