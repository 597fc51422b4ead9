"""The command line's client: how long it waits for a gateway, and what it says of one that is not there."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cli.gateway import Gateway, GatewayError, GatewaySettings

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def _settings(port: int, *, retry_s: float, first_answer_s: float) -> GatewaySettings:
    return GatewaySettings(
        gateway_url=f"http://127.0.0.1:{port}",
        api_key="lm_not_a_real_key_but_long_enough",
        client_retry_s=retry_s,
        client_first_answer_s=first_answer_s,
        client_retry_wait_s_max=0.1,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _server(port: int) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield


async def test_a_gateway_that_never_answered_is_given_up_soon() -> None:
    started_s = time.monotonic()
    async with Gateway(_settings(_free_port(), retry_s=60, first_answer_s=0.3)) as gateway:
        with pytest.raises(GatewayError, match=r"does not answer .* Is the platform running"):
            await gateway.get("/v1/cities")
    assert time.monotonic() - started_s < 10


async def test_a_gateway_that_has_answered_is_waited_for() -> None:
    port = _free_port()
    async with Gateway(_settings(port, retry_s=60, first_answer_s=0.01)) as gateway:
        async with _server(port):
            assert await gateway.get("/v1/cities") == {}
        waiting = asyncio.ensure_future(gateway.get("/v1/cities"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.5)
        async with _server(port):
            assert await asyncio.wait_for(waiting, 30) == {}
