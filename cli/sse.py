"""Server-sent events of the gateway, followed over any number of connections.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cli.gateway import GatewayError, GatewaySettings, RefusedError, problem_of

END = "end"
_CREDENTIAL_ENDED = "CREDENTIAL_ENDED"


@dataclass(frozen=True, slots=True)
class Message:
    """One event: its name, its data, and the id to come back with after it."""

    name: str
    data: Mapping[str, Any]
    last_id: str


class Follower:
    """Follows `/v1/live`. `last_id` is where it is."""

    def __init__(self, settings: GatewaySettings, query: Mapping[str, str], last_id: str = "") -> None:
        self.last_id = last_id
        self._settings = settings
        self._query = query
        self._reconnect_s = 2.0

    async def messages(self) -> AsyncIterator[Message]:
        """Yield every event but the stream's own end; GatewayError when it is refused or the gateway stays away."""
        waited_s = 0.0
        patience_s = self._settings.client_first_answer_s
        headers = {"Authorization": f"Bearer {self._settings.credential()}", "Accept": "text/event-stream"}
        timeout = httpx.Timeout(self._settings.client_timeout_s, read=self._settings.client_silence_s_max)
        # A proxy of the shell's has no business between this machine and its own gateway.
        async with httpx.AsyncClient(
            base_url=self._settings.gateway_url, headers=headers, timeout=timeout, trust_env=False
        ) as client:
            while True:
                try:
                    async for message in self._connection(client):
                        waited_s, patience_s = 0.0, self._settings.client_retry_s
                        if message.name != END:
                            yield message
                        elif message.data.get("reason") == _CREDENTIAL_ENDED:
                            raise GatewayError(str(message.data.get("detail")))
                except RefusedError as error:
                    if not error.retryable:
                        raise
                    said: Exception = error
                except httpx.TransportError as error:
                    said = error
                else:
                    said = GatewayError("the stream ended")
                if waited_s >= patience_s:
                    url = self._settings.gateway_url
                    raise GatewayError(f"{url} does not answer ({said or type(said).__name__})") from None
                await asyncio.sleep(self._reconnect_s)
                waited_s += self._reconnect_s

    async def _connection(self, client: httpx.AsyncClient) -> AsyncIterator[Message]:
        told = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with client.stream("GET", "/v1/live", params=self._query, headers=told) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise RefusedError(response.status_code, problem_of(response))
            name, data, last_id = "", "", self.last_id
            async for line in _lines(response):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    # An event that was cut off has not come: neither has its id.
                    self.last_id = last_id
                    if data:
                        yield Message(name, json.loads(data), last_id)
                    name, data = "", ""
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif field == "id":
                    last_id = value
                elif field == "retry":
                    self._reconnect_s = int(value) / 1000


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the lines as the gateway ends them. httpx would also end one at U+2028, which a note may contain."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode()
