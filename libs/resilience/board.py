"""What every process knows of every circuit, in Redis.

lastmile:{circuits}:now      hash: "<process>/<dependency>" -> when it was told, and a JSON report
lastmile:{circuits}:changes  stream: each change, as it happened

A process tells its changes at once, and again and again that it is there: what is not told any more is forgotten. It
follows the changes, and opens its own circuit of a dependency that another found down. Only what a process found out
itself is followed, and only opening: each closes its circuit by its own probe, so that one that cannot reach a
dependency by its own fault opens the others' circuits once, and not for good.

No call waits for any of this; without Redis every process goes by what it finds out itself.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import redis.asyncio as redis
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from libs.resilience import metrics
from libs.resilience.circuit import Change, CircuitState
from libs.resilience.dependency import Dependency
from libs.resilience.recent import RecentCalls
from libs.telemetry import error_text

log = logging.getLogger("resilience")

_NOW, _CHANGES = "lastmile:{circuits}:now", "lastmile:{circuits}:changes"
_FAILURES = (RedisError, OSError, TimeoutError)
# KEYS: now, changes. ARGV: life in ms, length of the stream, until when this is so in ms (0 for any time), number of
# reports, then each report's field and text, then each change's text. The time is that of Redis, so that no process's
# clock matters. A Redis that was frozen takes up what was sent to it long before: that comes to nothing.
_TELL = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms, reports = tonumber(ARGV[3]), tonumber(ARGV[4])
if until_ms > 0 and now_ms > until_ms then return {0, now_ms} end
for i = 0, reports - 1 do
  redis.call('HSET', KEYS[1], ARGV[5 + 2 * i], string.format('%.0f ', now_ms) .. ARGV[6 + 2 * i])
end
for i = 5 + 2 * reports, #ARGV do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'change', ARGV[i])
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+')) < now_ms - ARGV[1] then redis.call('HDEL', KEYS[1], all[i]) end
end
return {1, now_ms}
"""
# What is known, and the place in the stream up to which it is. KEYS: now, changes. ARGV: life in ms.
_READ = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local found = {last[1] and last[1][1] or '0-0'}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+')) >= now_ms - ARGV[1] then
    found[#found + 1] = all[i + 1]
  end
end
return found
"""


class BoardLimits(BaseModel):
    """How promptly circuits are shared, and how long what a process told is believed."""

    model_config = ConfigDict(frozen=True)

    beat_ms: int = Field(1_000, gt=0, description="A process tells that its circuits are as they are this often")
    life_ms: int = Field(10_000, gt=0, description="What a process told this long ago is forgotten")
    retry_ms: int = Field(500, gt=0, description="Time between tries of a Redis that is away")
    redis_timeout_ms: int = Field(1_000, gt=0, description="Redis is away when it answers later than this")
    block_ms: int = Field(5_000, gt=0, description="Longest wait for a change in one read")
    changes_kept_max: int = Field(10_000, gt=0, description="Changes that the stream keeps, about")
    changes_untold_max: int = Field(1_000, gt=0, description="Changes that wait for a Redis that is away")


@dataclass(frozen=True, slots=True)
class Report:
    """What one process says of its circuit of one dependency; `share` is what the circuit lets through, from 0 to 1.

    `spreads` is whether the others open theirs too. `recent` and `probe_every_ms` are empty in the report of a change.
    """

    process: str
    dependency: str
    state: CircuitState
    share: float
    cause: str
    spreads: bool
    recent: RecentCalls = field(default_factory=RecentCalls)
    probe_every_ms: int = 0


async def read_board(client: Any, limits: BoardLimits = BoardLimits()) -> list[Report]:  # noqa: B008 - frozen
    """Return what all processes say of their circuits now, asked of a client of redis.asyncio.

    Raises RedisError or OSError.
    """
    return (await _read(client, limits))[1]


async def wait_for_change(client: Any, after_id: bytes, wait_ms: int) -> bytes:
    """Wait until a circuit has changed after the entry `after_id` of the stream, but no longer; return the last entry.

    b"$" is the stream's end at the time of the call. Raises RedisError or OSError.
    """
    read = await client.xread({_CHANGES: after_id}, block=wait_ms)
    return read[0][1][-1][0] if read else after_id


class CircuitBoard:
    """Shares the circuits of this process. `process` is its name, which no other has."""

    def __init__(self, redis_url: str, process: str, limits: BoardLimits) -> None:
        self._process = process
        self._limits = limits
        self._timeout_s = limits.redis_timeout_ms / 1000
        # No socket_timeout: redis-py keeps it by wait_for, which loses a cancellation now and then before Python 3.12.
        self._redis: Any = redis.from_url(
            redis_url, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=self._timeout_s
        )
        self._dependencies: dict[str, Dependency] = {}
        self._last: dict[str, Change] = {}
        self._untold: deque[Change] = deque(maxlen=limits.changes_untold_max)
        self._changed = asyncio.Event()
        self._is_up = True
        # How far Redis's clock is ahead of the one that only ticks here.
        self._ahead_ms: int | None = None

    def add(self, dependency: Dependency) -> None:
        """Share a dependency's circuit from now on."""
        self._dependencies[dependency.name] = dependency
        dependency.on_change(self._note)
        self._changed.set()

    async def run(self) -> None:
        """Tell and listen, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_on(self._tell_on))
                group.create_task(self._keep_on(self._listen_on))
        finally:
            await self._redis.aclose()

    def _note(self, change: Change) -> None:
        self._last[change.dependency] = change
        self._untold.append(change)
        self._changed.set()

    async def _keep_on(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except _FAILURES as error:
                if self._is_up:
                    log.warning("circuits are not shared: redis is away", extra={"error": error_text(error)})
                self._is_up = False
                await asyncio.sleep(self._limits.retry_ms / 1000)

    async def _tell_on(self) -> None:
        while True:
            self._changed.clear()
            await self._tell()
            self._is_up = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.beat_ms / 1000):
                    await self._changed.wait()

    async def _tell(self) -> None:
        reports: list[str] = []
        for name, dependency in self._dependencies.items():
            reports += (f"{self._process}/{name}", self._report_text(name, dependency))
        changes = list(self._untold)
        until_ms = 0 if self._ahead_ms is None else _ticks_ms() + self._ahead_ms + self._limits.redis_timeout_ms
        head = (self._limits.life_ms, self._limits.changes_kept_max, until_ms, len(self._dependencies))
        texts = [self._change_text(change) for change in changes]
        async with asyncio.timeout(self._timeout_s):
            is_told, now_ms = await self._redis.execute_command(
                "EVAL", _TELL, 2, _NOW, _CHANGES, *head, *reports, *texts
            )
        self._ahead_ms = now_ms - _ticks_ms()
        if not is_told:
            # Its clock was set: the next beat tells.
            return
        # What came meanwhile may have pushed some of them out already, and may be equal to them.
        told = {id(change) for change in changes}
        while self._untold and id(self._untold[0]) in told:
            self._untold.popleft()

    async def _listen_on(self) -> None:
        async with asyncio.timeout(self._timeout_s):
            place, reports = await _read(self._redis, self._limits)
        for report in reports:
            self._hear(report)
        while True:
            async with asyncio.timeout(self._timeout_s + self._limits.block_ms / 1000):
                read = await self._redis.xread({_CHANGES: place}, block=self._limits.block_ms)
            for _, entries in read:
                for entry_id, entry in entries:
                    self._hear(_report_of(json.loads(entry[b"change"])))
                    place = entry_id

    def _hear(self, report: Report) -> None:
        dependency = self._dependencies.get(report.dependency)
        if dependency is None or report.process == self._process or not report.spreads:
            return
        if dependency.state in (CircuitState.CLOSED, CircuitState.RETURNING):
            metrics.TOLD.labels(dependency.name).inc()
            dependency.open_as_told(report.cause)

    def _report_text(self, name: str, dependency: Dependency) -> str:
        state, last = dependency.state, self._last.get(name)
        cause, spreads = (last.cause, last.spreads) if last else ("", False)
        recent, probe_every_ms = dependency.recent, dependency.limits.open_ms
        report = Report(self._process, name, state, dependency.share, cause, spreads, recent, probe_every_ms)
        return json.dumps(asdict(report))

    def _change_text(self, change: Change) -> str:
        share = 1.0 if change.state is CircuitState.CLOSED else 0.0
        # What waited for Redis may be over long since: nobody is to open a circuit for it any more.
        is_down = self._dependencies[change.dependency].state in (CircuitState.OPEN, CircuitState.HALF_OPEN)
        spreads = change.spreads and is_down
        report = Report(self._process, change.dependency, change.state, share, change.cause, spreads)
        return json.dumps(asdict(report))


async def _read(client: Any, limits: BoardLimits) -> tuple[bytes, list[Report]]:
    """Return the place in the stream, and what is known up to there."""
    place, *told = await client.execute_command("EVAL", _READ, 2, _NOW, _CHANGES, limits.life_ms)
    return place, [_report_of(json.loads(text.partition(b" ")[2])) for text in told]


def _ticks_ms() -> int:
    return round(time.monotonic() * 1000)


def _report_of(said: dict[str, Any]) -> Report:
    recent = RecentCalls(**_known(RecentCalls, said.get("recent", {})))
    return Report(**{**_known(Report, said), "state": CircuitState(said["state"]), "recent": recent})


def _known(kind: type, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a kind has: a newer process, during a deploy, may say more."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in said.items() if name in names}
