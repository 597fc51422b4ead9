"""A server that knows one answer and gives it to everybody: what a load costs this machine without a product."""

import asyncio
import socket
import subprocess
import sys
from typing import Self, cast

import uvloop

START = "from tests.benchmarks.http_peer import main; main()"
ANSWER = b'HTTP/1.1 304 Not Modified\r\nETag: "peer"\r\n\r\n'


class HttpPeer:
    """The server, in a process of its own."""

    def __enter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", 0), backlog=4_000)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        number = listening.fileno()
        self._process = subprocess.Popen([sys.executable, "-c", START, str(number)], pass_fds=[number])
        listening.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def _serve(listening: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, sock=listening, backlog=4_000)
    await server.serve_forever()


def main() -> None:
    """Serve on the socket that the parent has opened."""
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
