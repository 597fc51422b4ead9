"""One connection to Redis that all lookups of a process share: what comes while a batch is under way is the next.

It knows which run of which server it is connected to. A server that was started again may have lost the end of its
file, and with it what made an answer outdated: whatever was kept in another run is forgotten, because its keys name
that run.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from libs.cache.limits import LinkLimits
from libs.telemetry import error_text

log = logging.getLogger("cache")

Command = tuple[bytes | str | int, ...]
_FAILURES = (RedisError, OSError, TimeoutError)


class CacheAwayError(Exception):
    """Redis is away, or more is asked of it than it answers."""


class CacheLink:
    """The connection. `run` keeps it up; `ask` fails at once while it is down."""

    def __init__(self, url: str, limits: LinkLimits) -> None:
        self.run_id = ""
        self._limits = limits
        self._pool = redis.ConnectionPool.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=limits.redis_timeout_ms / 1000
        )
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._asked = asyncio.Event()
        self._is_up = False

    async def ask(self, *commands: Command) -> list[Any]:
        """Send commands and return their answers, an error that one of them met among them.

        Raises CacheAwayError. The commands may have been run all the same.
        """
        if not self._is_up or len(self._waiting) >= self._limits.asks_waiting_max:
            raise CacheAwayError("redis is away")
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answered))
        self._asked.set()
        return await answered

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        was_up = True
        while True:
            connection = cast("Any", self._pool).make_connection()
            try:
                async with asyncio.timeout(self._limits.redis_timeout_ms / 1000):
                    await connection.connect()
                    self.run_id = await _run_id(connection)
                self._is_up = was_up = True
                await self._serve(connection)
            except _FAILURES as error:
                if was_up:
                    log.warning("redis is away", extra={"error": error_text(error)})
                was_up = False
            finally:
                self._is_up = False
                self._fail(self._waiting)
                await connection.disconnect(nowait=True)
            await asyncio.sleep(self._limits.redis_retry_ms / 1000)

    async def _serve(self, connection: Any) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            batch, self._waiting = self._waiting, []
            try:
                async with asyncio.timeout(self._limits.redis_timeout_ms / 1000):
                    await _exchange(connection, batch)
            finally:
                self._fail(batch)

    def _fail(self, batch: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]]) -> None:
        for _, answered in batch:
            if not answered.done():
                answered.set_exception(CacheAwayError("redis is away"))
        batch.clear()


async def _exchange(connection: Any, batch: Sequence[tuple[Sequence[Command], asyncio.Future[list[Any]]]]) -> None:
    packed = connection.pack_commands([command for commands, _ in batch for command in commands])
    await connection.send_packed_command(packed, check_health=False)
    for commands, answered in batch:
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(await connection.read_response())
            except redis.ResponseError as error:
                answers.append(error)
        if not answered.done():
            answered.set_result(answers)


async def _run_id(connection: Any) -> str:
    await connection.send_command("INFO", "server")
    text = (await connection.read_response()).decode()
    return str(next(line.partition(":")[2] for line in text.splitlines() if line.startswith("run_id:")))
