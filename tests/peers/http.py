"""HTTP as plainly as can be, for peers that have to break it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Request = tuple[str, str, dict[str, str], bytes]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """Serve connections on a port of the kernel's choice, which is yielded; those that are left end with it."""
    connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(answer(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the verb, target, headers and body of the next request; None at the end."""
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode().split("\r\n")
    verb, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return verb, target, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def write_json(writer: asyncio.StreamWriter, status: int, answer: object) -> bool:
    """Answer; always True."""
    content = json.dumps(answer).encode()
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n".encode())
    writer.write(f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    return True
