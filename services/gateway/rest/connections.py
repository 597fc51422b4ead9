"""HTTP connections with limits on what may be sent before there is a request, and on how long that may take.

uvicorn bounds neither: a head that never ends grows in memory and costs more with every byte, and a connection that
sends none is kept for ever, one of the few that there may be.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.ids import new_id_text
from services.gateway.rest.problems import Problem, response_of

_MALFORMED = Problem(400, "MALFORMED_HTTP", "what came is no HTTP request")
_LATE = Problem(408, "HEAD_TIMEOUT", "the request line and its headers did not arrive in time")
_TOO_LARGE = Problem(413, "BODY_TOO_LARGE", "the request is too large")
_HEAD_TOO_LARGE = Problem(431, "HEAD_TOO_LARGE", "the request line and its headers are too large")
_FULL = Problem(503, "CONNECTIONS_TOO_MANY", "there are as many connections as there may be", retry_after_s=1)
# Answered however many connections there are: a server that is full still lives.
_HEALTH_PATHS = (b"/healthz", b"/readyz")


class ConnectionLimits(BaseModel):
    """The limits of HTTP connections."""

    model_config = ConfigDict(frozen=True)

    head_bytes_max: int = Field(32 * 1024, gt=0, description="Largest request line with headers")
    head_timeout_s: float = Field(10.0, gt=0, description="The head of a connection's next request must be here within")
    request_bytes_max: int = Field(16 * 1024 * 1024, gt=0, description="Most bytes of a request, framing included")
    connections_max: int = Field(
        4_000, gt=0, description="Connections open at once, live streams among them; one more is refused its requests"
    )
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
            self._refuse(_HEAD_TOO_LARGE)
        elif self._request_bytes > self.connection_limits.request_bytes_max:
            self._refuse(_TOO_LARGE)
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
            self.app = _refusing(_HEAD_TOO_LARGE)
        elif len(self.connections) > self.connection_limits.connections_max and self.url not in _HEALTH_PATHS:
            self.app = _refusing(_FULL)
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
            self._refuse(_LATE)
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

    def send_400_response(self, msg: str) -> None:
        """Say in our form that this was no HTTP."""
        self._refuse(_MALFORMED)

    def _refuse(self, problem: Problem) -> None:
        """Answer and end the connection; no answer while another is being written."""
        if self.cycle is None or self.cycle.response_complete:
            response = response_of(problem, new_id_text(), "")
            head = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
            head += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(response.body)]))
        self.transport.close()


def _refusing(problem: Problem) -> ASGIApp:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        response = response_of(problem, new_id_text(), scope["path"])
        response.headers["connection"] = "close"
        await response(scope, receive, send)

    return refuse
