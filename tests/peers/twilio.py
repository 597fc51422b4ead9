"""A peer shaped like Twilio's API, over real sockets: it keeps its own records, and fails as it is told to.

What it can do that a mock cannot: take a message and never answer, or take one and drop the connection.
"""

import asyncio
import base64
import hmac
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from tests.peers.http import read_request, serving, write_json

ACCOUNT, TOKEN, SENDER = "AC0123456789", "a secret of the account", "+15005550006"
CALLBACK_URL = "https://callbacks.example.com/receipts/twilio"


class Fault(StrEnum):
    """What the peer does with a request for a message."""

    NONE = "none"
    # Not taken, and the caller can know it.
    REFUSED_429 = "429"
    REJECTED_INVALID = "21211"
    REJECTED_STOPPED = "21610"
    # Not taken, and the caller cannot know it.
    SERVER_ERROR = "500"
    RESET_BEFORE = "reset before it was taken"
    HANG_BEFORE = "hang before it was taken"
    # Taken, and the caller cannot know it.
    TAKEN_THEN_HANG = "taken, then silence"
    TAKEN_THEN_RESET = "taken, then reset"
    TAKEN_THEN_GARBAGE = "taken, then garbage"
    TAKEN_UNDER_A_NAME_THAT_NOBODY_CAN_KEEP = "taken, with a SID of control characters and half a pair"


_TAKEN = (
    Fault.NONE, Fault.TAKEN_THEN_HANG, Fault.TAKEN_THEN_RESET, Fault.TAKEN_THEN_GARBAGE,
    Fault.TAKEN_UNDER_A_NAME_THAT_NOBODY_CAN_KEEP,
)  # fmt: skip


@dataclass(slots=True)
class TakenMessage:
    """A message that the peer has taken, and will deliver."""

    sid: str
    to: str
    body: str
    callback: str
    created_at: datetime

    @property
    def attempt_id(self) -> str:
        return self.callback.rpartition("attempt=")[2]

    def shown(self) -> dict[str, object]:
        created = format_datetime(self.created_at)
        return {
            "sid": self.sid, "to": self.to, "body": self.body, "status": "queued", "error_code": None,
            "date_created": created,
        }  # fmt: skip


@dataclass(slots=True)
class TwilioPeer:
    """The peer: `choose` says what happens to the next request."""

    choose: Callable[[Mapping[str, str]], Fault] = lambda _: Fault.NONE
    taken: list[TakenMessage] = field(default_factory=list)
    asked: int = 0
    port: int = 0
    # What it says of its messages when it is asked; None for the truth.
    finds: list[object] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a sender is told of it."""
        return {
            "LASTMILE_NOTIFICATION_TWILIO_BASE_URL": self.base_url,
            "LASTMILE_NOTIFICATION_TWILIO_ACCOUNT_SID": ACCOUNT,
            "LASTMILE_NOTIFICATION_TWILIO_AUTH_TOKEN": TOKEN,
            "LASTMILE_NOTIFICATION_TWILIO_SENDER": SENDER,
            "LASTMILE_NOTIFICATION_TWILIO_CALLBACK_URL": CALLBACK_URL,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        while (request := await read_request(reader)) is not None:
            if not await self._answer(*request, writer):
                break

    async def _answer(
        self, verb: str, target: str, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        wanted = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if headers.get("authorization") != wanted:
            return await write_json(writer, 401, {"code": 20003})
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        if verb == "POST":
            return await self._take(dict(parse_qsl(body.decode())), writer)
        if path.endswith("/Messages.json"):
            found = [m.shown() for m in self.taken if m.to == query["To"]]
            return await write_json(writer, 200, {"messages": found if self.finds is None else self.finds})
        sid = path.rpartition("/")[2].removesuffix(".json")
        known = [m.shown() for m in self.taken if m.sid == sid]
        return await write_json(writer, 200 if known else 404, known[0] if known else {"code": 20404})

    async def _take(self, form: Mapping[str, str], writer: asyncio.StreamWriter) -> bool:
        self.asked += 1
        fault = self.choose(form)
        sid = f"SM{uuid.uuid4().hex}"
        if fault in _TAKEN:
            callback = form.get("StatusCallback", "")
            self.taken.append(TakenMessage(sid, form["To"], form["Body"], callback, datetime.now(UTC)))
        if fault in (Fault.RESET_BEFORE, Fault.TAKEN_THEN_RESET):
            writer.transport.abort()
            return False
        if fault in (Fault.HANG_BEFORE, Fault.TAKEN_THEN_HANG):
            # Until the caller has had enough.
            with suppress(ConnectionError):
                await writer.wait_closed()
            return False
        if fault is Fault.TAKEN_THEN_GARBAGE:
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n<?xml")
            await writer.drain()
            return True
        if fault in (Fault.REJECTED_INVALID, Fault.REJECTED_STOPPED):
            return await write_json(writer, 400, {"code": int(fault.value), "message": "rejected", "status": 400})
        if fault in (Fault.REFUSED_429, Fault.SERVER_ERROR):
            return await write_json(writer, int(fault.value), {"code": 20429})
        if fault is Fault.TAKEN_UNDER_A_NAME_THAT_NOBODY_CAN_KEEP:
            sid = "SM\0\ud800"
        return await write_json(writer, 201, {"sid": sid, "status": "queued"})


def signature(url: str, form: Mapping[str, str]) -> str:
    """Sign a callback as Twilio does."""
    text = url + "".join(f"{name}{value}" for name, value in sorted(form.items()))
    return base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), "sha1")).decode()


@asynccontextmanager
async def twilio_peer(choose: Callable[[Mapping[str, str]], Fault] = lambda _: Fault.NONE) -> AsyncIterator[TwilioPeer]:
    """A peer that listens on a port of the kernel's choice."""
    peer = TwilioPeer(choose)
    async with serving(peer.serve) as port:
        peer.port = port
        yield peer
