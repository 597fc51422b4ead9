"""A consumer that a test brings along as one file of an installed package, and its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers, RunningStack

SERVICE = "assignment"
# All that a new consumer takes. It fails every eleventh event once, and takes effect once for each all the same.
EFFECTS = '''
"""Writes down what every delivery went through."""

from collections.abc import Sequence

import asyncpg

from libs.postgres.seen import unseen
from libs.streams.codec import Event


class Effects:
    """A row for each change of a delivery."""

    name = "{name}"
    types = frozenset({{"lastmile.delivery.state_changed.v1"}})
    failed: set[str] = set()

    def __init__(self, primary: asyncpg.Pool) -> None:
        self._primary = primary

    async def handle(self, batch: Sequence[Event]) -> None:
        async with self._primary.acquire() as connection, connection.transaction():
            new = await unseen(connection, "public", self.name, [event.id for event in batch])
            rows = [(self.name, e.subject, e.message.sequence) for e in batch if e.id in new]
            await connection.executemany(
                "INSERT INTO public.effects (consumer, subject, sequence) VALUES ($1, $2, $3)", rows
            )
            for event in batch:
                if event.message.sequence % 11 == 0 and event.id not in self.failed:
                    self.failed.add(event.id)
                    raise ValueError("fails once, after its effect")
'''
# `place` is the order in which the effects took place.
TABLES = """
CREATE TABLE IF NOT EXISTS public.effects (
  place bigserial PRIMARY KEY, consumer text NOT NULL, subject text NOT NULL, sequence bigint NOT NULL);
CREATE TABLE IF NOT EXISTS public.seen_events (consumer text, event_id uuid, PRIMARY KEY (consumer, event_id));
GRANT USAGE ON SCHEMA public TO assignment_api;
GRANT SELECT, INSERT ON public.effects, public.seen_events TO assignment_api;
GRANT USAGE ON SEQUENCE public.effects_place_seq TO assignment_api;
"""


def install(folder: Path, name: str, text: str = EFFECTS) -> None:
    """Put the consumer into `folder` as a package that is installed there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text.format(name=name))
    described = folder / f"{name}-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (described / "entry_points.txt").write_text(f"[lastmile.handlers]\n{SERVICE}.{name} = {name}:Effects\n")


async def make_tables(servers: EmbeddedServers | RunningStack) -> None:
    """Make the tables of the consumer."""
    connection = await asyncpg.connect(servers.dsn())
    try:
        await connection.execute(TABLES)
    finally:
        await connection.close()


class ConsumerProcess:
    """`python -m services.assignment consumer`, with what is installed in `folder`."""

    def __init__(self, servers: EmbeddedServers | RunningStack, folder: Path, log: Path, **told: str) -> None:
        """`told` are settings without their prefix."""
        ports = free_ports(2)
        self._metrics_port = ports[1]
        own = {
            "LASTMILE_ASSIGNMENT_CONSUMER_PORT": str(ports[0]),
            "LASTMILE_ASSIGNMENT_CONSUMER_METRICS_PORT": str(ports[1]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])),
            **{f"LASTMILE_{name.upper()}": value for name, value in told.items()},
        }
        reached = {
            "LASTMILE_ASSIGNMENT_DSN": servers.dsn("assignment_api"),
            "LASTMILE_REDIS_URL": servers.redis_url,
        }
        self._environment = os.environ | reached | own
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.assignment", "consumer"],
                env=self._environment, stdout=output, stderr=output,
            )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it and wait for the end."""
        self.send(number)
        assert self._process is not None
        self._process.wait(60)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill(signal.SIGTERM)

    @property
    def log_text(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5).text
