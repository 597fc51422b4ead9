"""One connection to Redis that ends with it: whatever it was told has been told to the same, uninterrupted server.

A client that connects again by itself would hide that Redis died in between, and with it what Redis lost.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Command = tuple[bytes | str | int, ...]


class RedisSession:
    """A connection; any exception that a method raises has ended it."""

    def __init__(self, connection: redis.Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    @classmethod
    async def open(cls, url: str, timeout_s: float) -> "RedisSession":
        """Connect."""
        pool = redis.ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=timeout_s)
        connection = cast("Any", pool).make_connection()
        await connection.connect()
        return cls(connection, timeout_s)

    async def ask(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer."""
        (answer,) = await self._exchange([command])
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Run the commands all, or none if Redis refuses one of them beforehand, as a full one does.

        Returns their answers, an error that a command met while it ran among them. Raises the RedisError that made
        Redis refuse them.
        """
        answers = await self._exchange([("MULTI",), *commands, ("EXEC",)])
        executed = answers[-1]
        if isinstance(executed, RedisError):
            raise next(answer for answer in answers if isinstance(answer, RedisError))
        return list(executed)

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        if not self._connection.is_connected:
            raise redis.ConnectionError("the connection has ended")
        answers: list[Any] = []
        async with asyncio.timeout(self._timeout_s):
            await self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
            for _ in commands:
                try:
                    answers.append(await self._connection.read_response())
                except redis.ResponseError as error:
                    answers.append(error)
        return answers

    async def close(self) -> None:
        """End the connection."""
        await self._connection.disconnect(nowait=True)
