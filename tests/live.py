"""Clients of /v1/live: they read server-sent events as the standard says, and come back as a browser does."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]

# Longer than the heartbeats that tests ask for.
READ_TIMEOUT_S = 5.0


@dataclass
class Sse:
    """One event as a browser would dispatch it."""

    name: str
    data: Json
    last_id: str


@dataclass
class Parser:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation."""

    last_id: str = ""
    retry_ms: int = 0
    comments: list[str] = field(default_factory=list)
    _id: str = ""
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Begin an event: of one that was cut off nothing counts, and its id neither."""
        self._id, self._name, self._data = self.last_id, "", []

    def feed(self, line: str) -> Sse | None:
        if not line:
            name, data = self._name, self._data
            self.last_id = self._id
            self.begin()
            return Sse(name or "message", json.loads("\n".join(data)), self.last_id) if data else None
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "":
            self.comments.append(value)
        elif key == "event":
            self._name = value
        elif key == "data":
            self._data.append(value)
        elif key == "id":
            self._id = value
        elif key == "retry":
            self.retry_ms = int(value)
        return None


class EventSource:
    """Follows a URL in a thread, coming back with the last id until it is refused or closed."""

    def __init__(self, base_url: str, key: str, *, comes_back: bool = True, last_id: str = "", **query: str) -> None:
        self.events: list[Sse] = []
        self.statuses: list[int] = []
        self.connections = 0
        self.parser = Parser(last_id=last_id)
        self.refusal: Json = {}
        self.headers = httpx.Headers()
        self._url, self._key, self._query, self._comes_back = base_url, key, query, comes_back
        self._closed = threading.Event()
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> "EventSource":
        self.until(lambda: bool(self.refusal or (self.parser.retry_ms and self._has_begun())))
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _has_begun(self) -> bool:
        """Whether it is known from where on it follows: whoever asks for no place is told one, a moment later."""
        return bool(self.parser.last_id) or "last_event_id" in self._query

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def named(self, *names: str) -> list[Sse]:
        return [event for event in self.events if event.name in names]

    def of(self, delivery_id: str) -> list[Json]:
        """The data of a delivery's events."""
        return [event.data for event in self.events if event.data.get("subject") == f"deliveries/{delivery_id}"]

    def until(self, condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
        end_s = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end_s, (self.statuses, [e.name for e in self.events[-20:]], self.refusal)
            time.sleep(0.02)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow()
            except httpx.TransportError:
                self._closed.wait(0.1)
            if not self._comes_back or self.refusal:
                return

    def _follow(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "text/event-stream"}
        if self.parser.last_id:
            headers["Last-Event-ID"] = self.parser.last_id
        url, timeout = f"{self._url}/v1/live", httpx.Timeout(10, read=READ_TIMEOUT_S)
        with (
            httpx.Client(timeout=timeout, trust_env=False) as client,
            client.stream("GET", url, params=self._query, headers=headers) as response,
        ):
            self.statuses.append(response.status_code)
            self.headers = response.headers
            if response.status_code != httpx.codes.OK:
                response.read()
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or not self._comes_back:
                    self.refusal = response.json()
                else:
                    self._closed.wait(0.2)
                return
            self.connections += 1
            self._read(response)

    def _read(self, response: httpx.Response) -> None:
        self.parser.begin()
        for line in response.iter_lines():
            if (event := self.parser.feed(line)) is not None:
                self.events.append(event)
            if self._closed.is_set():
                return
