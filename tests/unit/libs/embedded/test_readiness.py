"""A server that dies at the worst moment is not ready; it is no reason for the supervisor to end."""

import asyncpg
import pytest

from libs.embedded.readiness import accepts_queries


class DyingConnection:
    """What asyncpg gives for a server that died right after the handshake."""

    terminated = False

    async def fetchval(self, query: str, timeout: float) -> bool:
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")

    def terminate(self) -> None:
        self.terminated = True


async def test_a_server_that_dies_during_the_question_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = DyingConnection()

    async def connect(dsn: str, timeout: float) -> DyingConnection:
        return connection

    monkeypatch.setattr(asyncpg, "connect", connect)
    assert not await accepts_queries("postgresql://nobody@127.0.0.1:1/nothing", 1.0, in_recovery=False)
    assert connection.terminated


async def test_nobody_at_the_port_is_not_ready() -> None:
    assert not await accepts_queries("postgresql://nobody@127.0.0.1:1/nothing", 1.0, in_recovery=False)
