"""A connection of the port that is open to anybody ends, also where it sends nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notification.receipts.connections import brief
from tests.consumers import until

DEADLINE_S = 30.0


async def _answer(request: Request) -> Response:
    return Response(status_code=204)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", _answer)])
    config = uvicorn.Config(app, port=0, http=brief(1.5, 2), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT"])
async def test_a_connection_ends_however_little_of_a_head_it_sends(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(DEADLINE_S):
        await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_one_client_has_so_many_connections_and_others_when_these_end(port: int) -> None:
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    async with asyncio.timeout(DEADLINE_S):
        for answered in (False, True):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            try:
                said = await reader.read()
            except ConnectionResetError:
                said = b""
            assert said.startswith(b"HTTP/1.1 204") is answered
            writer.close()
            for first, _ in kept:
                await first.read()
    for _, writer in kept:
        writer.close()
