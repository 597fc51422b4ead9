"""A merchant's system that takes webhooks over real sockets: it verifies them with the standard's own package."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.peers.http import read_request, serving

# Says nothing, ever.
HANGS = 0


@dataclass(slots=True)
class Receiver:
    """The system: `answers` makes the status of the next answer. `secrets` are what it verifies by."""

    answers: Callable[[], int] = lambda: 204
    secrets: list[str] = field(default_factory=list)
    # The ids of what came, and what was verified and taken: by its id, as receivers should.
    asked: list[str] = field(default_factory=list)
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/secret-path"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            _, _, headers, body = request
            self.asked.append(headers["webhook-id"])
            status = self.answers()
            if status == HANGS:
                with suppress(ConnectionError):
                    await writer.wait_closed()
                return
            if status < 300 and not self._verifies(body, headers):
                status = 401
            if status < 300:
                self.taken[headers["webhook-id"]] = json.loads(body)
            # A 204 has no content.
            writer.write(f"HTTP/1.1 {status} X\r\n".encode())
            writer.write(b"\r\n" if status == 204 else b"Content-Length: 2\r\n\r\n{}")
            await writer.drain()

    def _verifies(self, body: bytes, headers: dict[str, str]) -> bool:
        for secret in self.secrets:
            with suppress(WebhookVerificationError):
                Webhook(secret).verify(body, headers)
                return True
        return False


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that listens on a port of the kernel's choice."""
    made = Receiver()
    async with serving(made.serve) as port:
        made.port = port
        yield made
