"""A provider that takes everything, in a process of its own: `python -m tests.benchmarks.provider_peer`.

It prints its port, answers as Twilio does as cheaply as it can, and says at GET / how many messages it has taken.
"""

import asyncio
import sys

import uvloop


class _Taking(asyncio.Protocol):
    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith(b"post"):
                _Taking.taken += 1
                body = b'{"sid": "SM%032d", "status": "queued"}' % _Taking.taken
            else:
                body = b"%d" % _Taking.taken
            self._transport.write(  # type: ignore[attr-defined]  # a transport that writes
                b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body
            )


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(_Taking, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Its input ends when whoever started it is gone.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
