"""HTTP connections with limits on what may be sent before there is a request, and on how long that may take.

uvicorn bounds neither: a head that never ends grows in memory and costs more with every byte, and a connection that
sends none is kept for ever, one of the few that there may be.
"""

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.ids import new_id_text
from services.gateway.rest.problems import Problem, response_of

_PHRASES = {408: "Request Timeout", 413: "Request Entity Too Large", 431: "Request Header Fields Too Large"}
_REASONS = {408: "HEAD_TIMEOUT", 413: "BODY_TOO_LARGE", 431: "HEAD_TOO_LARGE"}


class ConnectionLimits(BaseModel):
    """The limits of one HTTP connection."""

    model_config = ConfigDict(frozen=True)

    head_bytes_max: int = Field(32 * 1024, gt=0, description="Largest request line with headers")
    head_timeout_s: float = Field(10.0, gt=0, description="The head of a connection's next request must be here within")
    request_bytes_max: int = Field(16 * 1024 * 1024, gt=0, description="Most bytes of a request, framing included")
    stall_timeout_s: float = Field(60.0, gt=0, description="A client that takes nothing of its answer is cut off after")


def limited(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the protocol for uvicorn."""

    class Limited(LimitedConnection):
        connection_limits = limits

    return Limited


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's connection, which ends when a limit is reached."""

    connection_limits = ConnectionLimits()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._in_head = False
        self._head_bytes = 0
        self._request_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every timer."""
        self._forget_head_timer()
        self._forget_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a request; end the connection of one that is too large."""
        began_in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._request_bytes += len(data)
        if self._in_head:
            self._head_bytes += len(data) if began_in_head else 0
        if self._in_head and self._head_bytes > self.connection_limits.head_bytes_max:
            self._refuse(431, "the request's head")
        elif self._request_bytes > self.connection_limits.request_bytes_max:
            self._refuse(413, "the request")
        elif self._head_timer is None and self._is_idle():
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._request_bytes = True, 0, 0

    def on_headers_complete(self) -> None:
        """End the wait for a head; have one that came at once and is too large refused."""
        self._in_head = False
        self._forget_head_timer()
        head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head_bytes > self.connection_limits.head_bytes_max:
            self.app = _refuse_head
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not take its answer."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.connection_limits.stall_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """End that wait."""
        self._forget_stall_timer()
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.connection_limits.head_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(408, "the request's head")
        elif self._is_idle() and self.timeout_keep_alive_task is None:
            self.transport.close()

    def _forget_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _is_idle(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def _refuse(self, status: int, what: str) -> None:
        """Answer and end the connection; no answer while another is being written."""
        if self.cycle is None or self.cycle.response_complete:
            response = response_of(_problem(status, what), new_id_text(), "")
            head = [f"HTTP/1.1 {status} {_PHRASES[status]}".encode()]
            head += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(response.body)]))
        self.transport.close()


async def _refuse_head(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    response = response_of(_problem(431, "the request's head"), new_id_text(), request.url.path)
    response.headers["connection"] = "close"
    await response(scope, receive, send)


def _problem(status: int, what: str) -> Problem:
    return Problem(status, _REASONS[status], f"{what} {'is late' if status == 408 else 'is too large'}")
