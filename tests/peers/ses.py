"""Amazon SES by moto, behind a proxy that fails as it is told to: what was taken, moto's own records say."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.ses.models import ses_backends

from tests.peers.http import read_request, serving, write_json
from tests.peers.twilio import Fault

REGION, SENDER, SET = "ap-south-1", "Lastmile <news@example.com>", "mail"
REJECTED = {"x-amzn-errortype": "MessageRejected"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
_BEFORE = (Fault.RESET_BEFORE, Fault.HANG_BEFORE)


@dataclass(slots=True)
class SesPeer:
    """SES: `choose` says what happens to the next request."""

    choose: Callable[[], Fault] = lambda: Fault.NONE
    asked: int = 0
    # SES's own ids of what it has taken, by the attempts that were named in tags.
    taken: dict[str, str] = field(default_factory=dict)
    port: int = 0
    moto_port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a sender is told of it."""
        told = {"REGION": REGION, "SENDER": SENDER, "CONFIGURATION_SET": SET, "ENDPOINT_URL": self.url}
        return CREDENTIALS | {f"LASTMILE_NOTIFICATION_SES_{name}": value for name, value in told.items()}

    @property
    def mails(self) -> list[Any]:
        """What moto has taken: `destinations`, `subject`, `body`, `id`."""
        return list(ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages)

    def event(self, kind: str, attempt_id: object, **said: Any) -> dict[str, Any]:
        """An event of an e-mail, as SES publishes it for a configuration set."""
        tags = {"ses:configuration-set": [SET], "attempt": [str(attempt_id)]}
        mail = {"messageId": self.taken.get(str(attempt_id), "unknown"), "tags": tags}
        return {"eventType": kind, "mail": mail, kind.lower(): said}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        while (request := await read_request(reader)) is not None:
            self.asked += 1
            fault = self.choose()
            if fault in (Fault.REFUSED_429, Fault.SERVER_ERROR):
                await write_json(writer, int(fault.value), {"message": "not now"})
            elif fault is Fault.REJECTED_INVALID:
                writer.write(b"HTTP/1.1 400 X\r\nx-amzn-errortype: MessageRejected\r\nContent-Length: 2\r\n\r\n{}")
            elif fault in _BEFORE or not await self._take(fault, *request, writer):
                if fault in (Fault.HANG_BEFORE, Fault.TAKEN_THEN_HANG):
                    with suppress(ConnectionError):
                        await writer.wait_closed()
                writer.transport.abort()
                return

    async def _take(
        self, fault: Fault, verb: str, target: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        """Have moto take it, and tell its answer unless there is a fault; whether the connection is kept."""
        status, said = await self._moto(verb, target, headers, body)
        for tag in json.loads(body)["EmailTags"]:
            self.taken[tag["Value"]] = said["MessageId"]
        if fault is Fault.NONE:
            return await write_json(writer, status, said)
        if fault is Fault.TAKEN_THEN_GARBAGE:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<?xml")
            await writer.drain()
            return True
        return False

    async def _moto(self, verb: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.moto_port)
        passed = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "connection")
        writer.write(f"{verb} {target} HTTP/1.1\r\n{passed}Connection: close\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(content)


@asynccontextmanager
async def ses_peer() -> AsyncIterator[SesPeer]:
    """A peer with an empty moto behind it."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    await asyncio.to_thread(moto.start)
    peer = SesPeer(moto_port=moto.get_host_and_port()[1])
    backend = ses_backends[DEFAULT_ACCOUNT_ID][REGION]
    backend.reset()
    backend.verify_email_identity("news@example.com")
    try:
        async with serving(peer.serve) as port:
            peer.port = port
            yield peer
    finally:
        await asyncio.to_thread(moto.stop)
