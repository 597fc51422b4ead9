"""Alerters for tests: as processes that can be killed, or in the test's own; and dependencies that fail as told."""

import asyncio
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import httpx
import redis.asyncio as redis

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.privacy.vault import Vault
from libs.resilience.board import BoardLimits, CircuitBoard
from libs.resilience.dependency import Dependency
from libs.resilience.errors import CallFailedError, CircuitOpenError, Outcome
from libs.resilience.limits import DependencyLimits
from libs.resilience.verdict import Verdict
from services.notification.alerts.alerter import Alerter, AlerterLimits
from services.notification.alerts.observing.observer import Observer, ObserverLimits
from services.notification.alerts.rules import RuleLimits
from services.notification.alerts.signals import SignalLimits
from services.notification.planning.planner import OPS_OWNER
from services.notification.recipients import places
from services.notification.recipients import store as recipients_store
from services.notification.recipients.addresses import kept
from services.notification.recipients.recipient import Preferences, Recipient
from services.notification.routes import default_routes

HEALED_S = 0.3
_BOARD = BoardLimits(beat_ms=20, life_ms=60_000, retry_ms=20, block_ms=200)
_SIGNALS = SignalLimits()
_DOWN = Verdict(counts=True, retryable=False, outcome=Outcome.UNKNOWN)


class Peer:
    """A dependency whose circuit is shared, and that works or fails as the test says."""

    def __init__(self, name: str) -> None:
        limits = DependencyLimits(failures_max=1, open_ms=50, return_ms=0)
        self.dependency = Dependency(name, limits, lambda error: _DOWN if isinstance(error, OSError) else None)
        self.name = name

    async def fail(self) -> None:
        async def refuse() -> None:
            raise OSError("refused")

        with suppress(CallFailedError, CircuitOpenError):
            await self.dependency.call(refuse)

    async def heal(self) -> None:
        """Let a probe succeed."""

        async def answer() -> None:
            return None

        async with asyncio.timeout(30):
            while self.dependency.share < 1:
                with suppress(CircuitOpenError):
                    await self.dependency.call(answer)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def shared_peer(servers: EmbeddedServers, kind: str) -> AsyncIterator[Peer]:
    """A peer of a test's own, whose circuit is on the board."""
    peer = Peer(f"{kind}{uuid.uuid4().hex[:12]}")
    board = CircuitBoard(servers.redis_url, uuid.uuid4().hex, _BOARD)
    board.add(peer.dependency)
    running = asyncio.create_task(board.run())
    try:
        yield peer
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def alerting(
    primary: asyncpg.Pool, servers: EmbeddedServers, signals: SignalLimits = _SIGNALS, healed_s: float = HEALED_S
) -> AsyncIterator[None]:
    """An alerter in this process, for as long as the context lasts."""
    stop = asyncio.Event()
    async with redis.from_url(servers.redis_url) as client:
        looks = ObserverLimits(look_ms=50, slow_look_s=0.1)
        observer = Observer(client, default_routes(), looks, signals, _BOARD)
        rules = RuleLimits(healed_s=healed_s, confirm_s=0.1)
        limits = AlerterLimits(standby_ms=50, refresh_s=0.1)
        alerter = Alerter(primary, observer, default_routes(), rules, limits)
        running = asyncio.create_task(alerter.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running


class AlerterProcess:
    """`python -m services.notification alerter`."""

    def __init__(self, process: asyncio.subprocess.Process, metrics_port: int) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{metrics_port}/metrics"

    async def leads(self) -> bool:
        """Whether it says that it leads."""
        async with httpx.AsyncClient() as http:
            try:
                found = re.search(r"^lastmile_alerter_leads (\S+)", (await http.get(self._url)).text, re.MULTILINE)
            except httpx.TransportError:
                return False
        return found is not None and float(found.group(1)) == 1

    async def kill(self) -> None:
        """Kill it as the kernel does when memory is short."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def alerter_process(servers: EmbeddedServers) -> AsyncIterator[AlerterProcess]:
    """An alerter of its own process."""
    health_port, metrics_port = free_ports(2)
    told = {
        "LASTMILE_NOTIFICATION_ALERTER_PORT": str(health_port),
        "LASTMILE_NOTIFICATION_ALERTER_METRICS_PORT": str(metrics_port),
        "LASTMILE_NOTIFICATION_ALERTER__STANDBY_MS": "50",
        "LASTMILE_NOTIFICATION_ALERT_LOOKS__LOOK_MS": "50",
        "LASTMILE_NOTIFICATION_ALERT_RULES__HEALED_S": str(HEALED_S),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.notification", "alerter", env=os.environ | servers.service_environment | told
    )
    made = AlerterProcess(process, metrics_port)
    try:
        yield made
    finally:
        await made.kill()


async def set_contact(
    primary: asyncpg.Pool, vault: Vault, audience: str, owner_id: uuid.UUID, address: str, channel: str = "email"
) -> None:
    """Say how somebody is reached."""
    preferences = Preferences("en", "Asia/Kolkata", 0, 0)
    merchant_id = owner_id if audience == "merchant" else None
    async with primary.acquire() as connection, connection.transaction():
        now = await connection.fetchval("SELECT now()")
        made = Recipient(
            new_id(), audience, merchant_id, owner_id, vault.seal("Ops", places.NAME), preferences, 1, now, now
        )
        await recipients_store.set_owner(connection, made, {channel: kept(vault, channel, address)})


async def set_ops_contact(primary: asyncpg.Pool, vault: Vault) -> None:
    """Say how ops are reached."""
    await set_contact(primary, vault, "ops", OPS_OWNER, "ops@example.com")


async def alerts_of(primary: asyncpg.Pool, subject: str) -> list[dict[str, Any]]:
    """Every alert of a subject, the oldest first."""
    rows = await primary.fetch("SELECT * FROM notification.alerts WHERE subject = $1 ORDER BY id", subject)
    return [dict(row) for row in rows]


async def told_of(primary: asyncpg.Pool, alert_id: uuid.UUID) -> list[dict[str, Any]]:
    """Every message about an alert, the oldest first."""
    rows = await primary.fetch("SELECT * FROM notification.messages WHERE delivery_id = $1 ORDER BY id", alert_id)
    return [dict(row) for row in rows]
