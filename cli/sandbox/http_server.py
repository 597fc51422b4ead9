"""A small HTTP/1.1 server that can do what real ones do on bad days: hang, and reset the connection."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import h11

READ_BYTES = 65_536
BODY_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request; names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class HangError(Exception):
    """Raised by a handler that never answers."""


class ResetError(Exception):
    """Raised by a handler whose connection is reset instead of an answer."""


Handler = Callable[[Request], Awaitable[Reply]]


@asynccontextmanager
async def serving(handler: Handler, host: str, port: int) -> AsyncIterator[int]:
    """Answer with `handler` until the context ends; yield the port, which is a free one for 0."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        try:
            await _converse(reader, writer, handler)
        except (OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            # What asyncio calls when this ends cannot bear a cancelled task.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    connection = h11.Connection(h11.SERVER)
    while True:
        request = await _next_request(connection, reader)
        if request is None:
            return
        try:
            reply = await handler(request)
        except HangError:
            # Until the client gives up.
            await reader.read()
            return
        except ResetError:
            _reset(writer)
            return
        await _send(connection, writer, reply)
        if connection.our_state is h11.MUST_CLOSE:
            return
        connection.start_next_cycle()


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            target = urlsplit(head.target.decode("ascii"))
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), target.path, dict(parse_qsl(target.query)), headers, bytes(body))
        else:
            return None


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply) -> None:
    headers = [("content-type", reply.content_type), ("content-length", str(len(reply.body))), *reply.headers.items()]
    reason = HTTPStatus(reply.status).phrase.encode()
    head = h11.Response(status_code=reply.status, headers=headers, reason=reason)
    for event in (head, h11.Data(data=reply.body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a RST, which closing without lingering sends."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
