"""An HTTP client that costs next to nothing: what a benchmark measures is the server."""

import asyncio
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the head as it came, and the content."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """One connection that asks one thing after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the server of a URL."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, request: bytes) -> Answer:
        """Send a request, and return its answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._reader.readexactly(content_length(head))
        return Answer(int(head[9:12]), head, body)

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


def request_of(url: str, path: str, key: str, body: bytes = b"", **headers: str) -> bytes:
    """Return a GET, or with a body a POST, as its bytes."""
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    lines += [f"Authorization: Bearer {key}", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def content_length(head: bytes) -> int:
    """Return how long the content after a head is."""
    return int(header_of(head, b"content-length") or 0)


def header_of(head: bytes, name: bytes) -> bytes:
    """Return a header's value; empty where it is absent."""
    return head.lower().partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]
