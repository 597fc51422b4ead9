import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.gateway.rest.connections import ConnectionLimits, LimitedConnection, limited

LIMITS = ConnectionLimits(
    head_bytes_max=2_000, head_timeout_s=0.4, request_bytes_max=100_000, stall_timeout_s=0.4, connections_max=5
)
KEEP_ALIVE_S = 2
LATE_S = 10
REQUEST = b"GET /small HTTP/1.1\r\nHost: test\r\n\r\n"
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def answer(request: Request) -> Response:
    await request.body()
    return Response(b"x" * (100_000_000 if request.url.path == "/large" else 10))


@asynccontextmanager
async def serving(limits: ConnectionLimits = LIMITS) -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(
        app, port=0, http=limited(limits), lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_S
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # the hook is a method
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections to a server with small limits."""
    writers: list[asyncio.StreamWriter] = []
    async with serving() as port:

        async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            return reader, writer

        yield opened
        for writer in writers:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the server ended the connection."""
    async with asyncio.timeout(LATE_S):
        return await reader.read()


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost: te"])
async def test_a_connection_whose_request_stays_away_is_ended(connect: Connect, begun: bytes) -> None:
    reader, writer = await connect()
    writer.write(begun)
    said = await ended(reader)
    assert said.startswith(b"HTTP/1.1 408 ") == begun.startswith(b"GET")


async def test_a_head_that_trickles_in_has_no_more_time_than_another(connect: Connect) -> None:
    reader, writer = await connect()
    # Its first line alone: whoever goes on sending to a closed connection has it reset, and what came after is lost.
    answer = asyncio.create_task(reader.readline())
    writer.write(b"GET /small HTTP/1.1\r\nX-Long: ")
    while not answer.done():
        writer.write(b"a")
        await asyncio.sleep(0.02)
    assert (await answer).startswith(b"HTTP/1.1 408 ")


async def test_a_second_request_that_stays_away_is_not_waited_for_either(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(REQUEST + b"GET /sm")
    assert (await ended(reader)).count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /small HTTP/1.1\r\nX-Long: " + b"a" * 3_000 + b"\r\n\r\n",
        b"GET /small HTTP/1.1\r\n" + b"X-Many: a\r\n" * 300 + b"\r\n",
        b"GET /" + b"a" * 3_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused(connect: Connect, head: bytes) -> None:
    reader, writer = await connect()
    writer.write(head)
    said = await ended(reader)
    assert said.startswith(b"HTTP/1.1 431 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["reason"] == "HEAD_TOO_LARGE"


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /small HTTP/1.1\r\nX-Long: ",
        b"GET /",
        b"POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Long: ",
        b"POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;",
    ],
)
async def test_what_never_ends_is_ended(connect: Connect, begun: bytes) -> None:
    reader, writer = await connect()
    writer.write(begun)
    ending = asyncio.create_task(ended(reader))
    sent_bytes = 0
    with suppress(ConnectionError):
        while not ending.done():
            writer.write(b"a" * 10_000)
            sent_bytes += 10_000
            await writer.drain()
            await asyncio.sleep(0)
    with suppress(ConnectionError):
        await ending
    assert sent_bytes < 50_000_000


async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = asyncio.Event()
    lose = LimitedConnection.connection_lost

    def lost(connection: LimitedConnection, exc: Exception | None) -> None:
        lose(connection, exc)
        cut_off.set()

    monkeypatch.setattr(LimitedConnection, "connection_lost", lost)
    reader, writer = await connect()
    writer.write(REQUEST.replace(b"small", b"large"))
    await asyncio.wait_for(cut_off.wait(), LATE_S)
    with suppress(ConnectionError):
        assert len(await ended(reader)) < 50_000_000


@pytest.mark.parametrize(("path", "status"), [(b"/small", b"503"), (b"/healthz", b"200"), (b"/readyz", b"200")])
async def test_a_server_that_is_full_still_says_that_it_lives(path: bytes, status: bytes) -> None:
    # None of them is to end before the last is made.
    async with serving(LIMITS.model_copy(update={"head_timeout_s": 60.0})) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMITS.connections_max + 1)]
        reader, writer = opened[-1]
        writer.write(REQUEST.replace(b"/small", path))
        assert (await reader.readline()).split(b" ")[1] == status
        for _, each in opened:
            each.close()


async def test_what_is_no_http_is_refused_in_the_form_of_every_other_problem(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
    said = await ended(reader)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["reason"] == "MALFORMED_HTTP"


async def test_requests_after_one_another_and_at_once_are_answered(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(3):
        writer.write(REQUEST)
        await reader.readuntil(b"xxxxxxxxxx")
        await asyncio.sleep(1.5 * LIMITS.head_timeout_s)
    writer.write(REQUEST * 30)
    for _ in range(30):
        await reader.readuntil(b"xxxxxxxxxx")
