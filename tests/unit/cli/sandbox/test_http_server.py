import asyncio

import httpx
import pytest

from cli.sandbox.http_server import HangError, Reply, Request, ResetError, serving


async def answer(request: Request) -> Reply:
    if request.path == "/hang":
        raise HangError
    if request.path == "/reset":
        raise ResetError
    return Reply(200, request.body + request.query.get("q", "").encode(), {"x-method": request.method})


async def test_it_answers_and_keeps_its_connections() -> None:
    async with serving(answer, "127.0.0.1", 0) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(3):
            response = await http.post("/echo?q=x", content=b"body")
            assert (response.text, response.headers["x-method"]) == ("bodyx", "POST")


async def test_it_resets_and_hangs_when_told() -> None:
    async with serving(answer, "127.0.0.1", 0) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        with pytest.raises(httpx.ReadError):
            await http.get("/reset")
        with pytest.raises(httpx.ReadTimeout):
            await http.get("/hang", timeout=httpx.Timeout(10, read=0.05))
        assert (await http.get("/")).status_code == 200


async def test_what_is_no_http_ends_its_connection_alone() -> None:
    async with serving(answer, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"this is no HTTP\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200
