"""Dashboards that look: a process of its own, with a connection for each, which looks when it is told to.

A dashboard shows one list. What happens reaches it as live events; every few seconds it asks for the list anew, in case
it missed something, and says which content it has (If-None-Match): that is what a browser's cache does by itself. It
runs at the lowest priority: dashboards are other people's machines, and what they cost here is not the product's.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Self, cast
from urllib.parse import urlsplit

import uvloop

from tests.benchmarks.http_client import content_length, header_of, request_of

NICE = 19
# What is not answered by then counts as not good.
ANSWERED_WITHIN_S = 3.0
START = "from tests.benchmarks.dashboards import main; main()"


@dataclass(frozen=True)
class Looks:
    """What came of a time of looking. `ways_ms` are sorted."""

    answers: int
    unchanged: int
    not_good: int
    cpu_s: float
    ways_ms: list[float] = field(repr=False)


class Dashboard(asyncio.Protocol):
    """One dashboard, which remembers the content that it has."""

    def __init__(self, url: str, path: str, key: str) -> None:
        self._ask_of = (url, path, key)
        self._request = request_of(url, path, key)
        self._received, self._asked_s = b"", 0.0
        self._transport: asyncio.Transport | None = None
        self._waits = False
        self.forget()

    def forget(self) -> None:
        """Begin to count anew; an answer that is still on its way belongs to the time before."""
        self._counts = False
        self.asked = self.unchanged = self.not_good = 0
        self.ways_ms: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._received = cast("asyncio.Transport", transport), b""

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._waits = None, False

    async def look(self) -> None:
        """Ask for the list, over the connection that there is or a new one; not while the last answer is on its way."""
        if self._waits:
            return
        self._waits = self._counts = True
        self.asked += 1
        if self._transport is None:
            parts = urlsplit(self._ask_of[0])
            await asyncio.get_running_loop().create_connection(lambda: self, parts.hostname, parts.port)
        assert self._transport is not None
        self._asked_s = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < content_length(head):
            return
        self._received, self._waits, status = b"", False, head[9:12]
        if self._counts:
            self.ways_ms.append((time.perf_counter() - self._asked_s) * 1_000)
            self.unchanged += status == b"304"
            self.not_good += status not in (b"200", b"304")
        if status == b"200":
            tag = header_of(head, b"etag")
            self._request = request_of(*self._ask_of, **{"If-None-Match": tag.decode()})


class Watchers:
    """The process, as its parent sees it."""

    def __init__(self, url: str, lists: Sequence[tuple[str, str]], look_every_s: float) -> None:
        """`lists` are the path and the key of every dashboard."""
        arguments = [sys.executable, "-c", START]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._send({"url": url, "lists": lists, "look_every_s": look_every_s})

    async def look(self, seconds: float) -> Looks:
        """Have all of them look for so long."""
        self._send(seconds)
        assert self._process.stdout is not None
        return Looks(**json.loads(await asyncio.to_thread(self._process.stdout.readline)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _send(self, said: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()


async def _look(dashboards: Sequence[Dashboard], look_every_s: float, seconds: float) -> Looks:
    """Each looks every so often, from a moment of its own on."""

    async def watch(dashboard: Dashboard, at_s: float) -> None:
        dashboard.forget()
        while at_s < seconds:
            await asyncio.sleep(began_s + at_s - time.perf_counter())
            await dashboard.look()
            at_s += look_every_s

    chance, began_s, before_s = random.Random(1), time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for dashboard in dashboards:
            group.create_task(watch(dashboard, chance.uniform(0, look_every_s)))
        await asyncio.sleep(seconds)
    ends_s = time.perf_counter() + ANSWERED_WITHIN_S
    while any(len(one.ways_ms) < one.asked for one in dashboards) and time.perf_counter() < ends_s:
        await asyncio.sleep(0.05)
    ways_ms = sorted(way for one in dashboards for way in one.ways_ms)
    unchanged, not_good = sum(one.unchanged for one in dashboards), sum(one.not_good for one in dashboards)
    not_good += sum(one.asked - len(one.ways_ms) for one in dashboards)
    return Looks(len(ways_ms), unchanged, not_good, time.process_time() - before_s, ways_ms)


async def _run() -> None:
    told = json.loads(sys.stdin.readline())
    dashboards = [Dashboard(told["url"], path, key) for path, key in told["lists"]]
    # Read beside the loop, which notices meanwhile what the server closes.
    while seconds := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(asdict(await _look(dashboards, told["look_every_s"], json.loads(seconds)))), flush=True)


def main() -> None:
    """Do what the parent says on standard input, line by line."""
    os.nice(NICE)
    uvloop.run(_run())
