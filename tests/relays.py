"""Relay processes on embedded servers, commits with events, and what came of them in the streams."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import grpc
import httpx
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.postgres.log_messages import emit
from libs.streams.codec import Event, decode
from libs.streams.names import FIELD, STREAMS, StreamName
from services.assignment.events import LOG_PREFIX

DEADLINE_S = 60.0


class RelayProcess:
    """A relay as production runs it."""

    def __init__(self, servers: EmbeddedServers, log: Path, **told: str) -> None:
        """`told` are settings without their prefix, such as relay_publish__hold_back_s="1"."""
        self._ports = free_ports(2)
        own = {
            "LASTMILE_RELAY_PORT": str(self._ports[0]),
            "LASTMILE_RELAY_METRICS_PORT": str(self._ports[1]),
            **{f"LASTMILE_{name.upper()}": value for name, value in told.items()},
        }
        self.environment = os.environ | servers.service_environment | own
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.relay"], env=self.environment, stdout=output, stderr=output
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it and wait for the end."""
        self.send(number)
        self.exit_code()

    def exit_code(self) -> int:
        """Wait for its end."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.kill(signal.SIGTERM)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log_text(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def is_healthy(self) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self._ports[0]}") as channel, suppress(grpc.RpcError):
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        return False

    def leads(self) -> bool:
        with suppress(httpx.TransportError):
            return self.metrics()["lastmile_relay_leading"] == 1
        return False

    def metrics(self) -> dict[str, float]:
        lines = httpx.get(f"http://127.0.0.1:{self._ports[1]}/metrics", timeout=5).text.splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("lastmile_")}


@contextmanager
def relaying(servers: EmbeddedServers, log: Path, **told: str) -> Iterator[RelayProcess]:
    """A relay that runs, and is stopped at the end."""
    relay = RelayProcess(servers, log, **told)
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


async def commit(connection: asyncpg.Connection, *contents: bytes) -> None:
    """Commit events in one transaction."""
    async with connection.transaction():
        await emit(connection, LOG_PREFIX, [content.decode() for content in contents])


def stream_of(client: redis.Redis, city_code: str) -> str | None:
    """The city's stream of the newest epoch."""
    names = [StreamName.parse(member.decode()) for member in client.smembers(STREAMS)]
    own = sorted(name for name in names if name is not None and name.city_code == city_code)
    return str(own[-1]) if own else None


def entries(client: redis.Redis, city_code: str) -> list[tuple[str, bytes]]:
    """Everything in the city's stream."""
    stream = stream_of(client, city_code)
    return [(i.decode(), fields[FIELD]) for i, fields in client.xrange(stream)] if stream else []


def events(client: redis.Redis, city_code: str) -> list[Event]:
    return [decode(city_code, entry_id, raw) for entry_id, raw in entries(client, city_code)]


def until(condition, what: object = "the condition", timeout_s: float = DEADLINE_S) -> None:
    """Poll until it holds."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what() if callable(what) else what} did not come about"
        time.sleep(0.02)


def spelled(found: Sequence[Event]) -> list[tuple[str, int]]:
    return [(event.subject, event.message.sequence) for event in found]
