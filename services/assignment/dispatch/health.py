"""A network's circuit becomes its health, which matching reads; what it cannot answer is matched again elsewhere."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import floor

import asyncpg
import redis.asyncio as redis
from redis.exceptions import RedisError

from libs.postgres.tenancy import visible
from libs.resilience.board import BoardLimits, Report, read_board
from libs.resilience.dependency import Dependency
from libs.resilience.errors import DependencyError
from libs.telemetry import error_text
from services.assignment.dispatch import metrics, store
from services.assignment.dispatch.adapters.base import NetworkAdapter
from services.assignment.dispatch.settings import DispatchLimits
from services.assignment.dispatch.taking_back import take_back
from services.assignment.networks import store as networks_store
from services.assignment.networks.codec import changed_event
from services.assignment.visibility import OPERATOR

log = logging.getLogger("dispatcher")

PROCESS_PREFIX = "dispatcher-"
# Each step of a network's return is an event to every matcher.
_STEPS = 10


def dependency_name(network_code: str) -> str:
    """Return what a network is called among dependencies."""
    return f"network:{network_code}"


def updates_name(network_code: str) -> str:
    """Return what the polling of a network is called: its answers say nothing of whether offers are taken."""
    return f"{dependency_name(network_code)}/updates"


def share_of_all(own: Dependency, process: str, reports: Sequence[Report]) -> float:
    """Return the share of calls that the circuits of all dispatchers let through, in whole steps, rounded down.

    One that lets anything through is not down: its share is at least one step.
    """
    others = [
        report.share
        for report in reports
        if report.dependency == own.name and report.process != process and report.process.startswith(PROCESS_PREFIX)
    ]
    share = (own.share + sum(others)) / (1 + len(others))
    return 0.0 if share == 0 else max(1, floor(share * _STEPS + 1e-9)) / _STEPS


class HealthKeeper:
    """Tells how well networks answer, by the circuits of all dispatchers."""

    def __init__(
        self,
        primary: asyncpg.Pool,
        board: redis.Redis,
        process: str,
        limits: BoardLimits,
        again_s: float,
    ) -> None:
        self._primary = primary
        self._board = board
        self._process = process
        self._limits = limits
        self._again_s = again_s
        self._again_at_s = float("-inf")
        self._dependencies: dict[str, Dependency] = {}
        self._told: dict[str, float] = {}
        self._causes: dict[str, str] = {}
        self._when_down: dict[str, Callable[[], None]] = {}
        self.changed = asyncio.Event()

    async def add(self, network_code: str, dependency: Dependency) -> None:
        """Take a network up. One that was down when its last dispatcher ended is probed before it is trusted."""
        async with self._primary.acquire() as connection, visible(connection, OPERATOR):
            known = await networks_store.get(connection, network_code)
        if known is not None and known.circuit_share == 0:
            dependency.open_as_told(known.circuit_note)
        self._dependencies[network_code] = dependency
        dependency.on_change(lambda change: self._note(network_code, f"{change.state}: {change.cause}"))

    def when_down(self, network_code: str, listener: Callable[[], None]) -> None:
        """Have `listener` told when no dispatcher's circuit lets anything through any more; it must not wait."""
        self._when_down[network_code] = listener

    async def share(self, network_code: str) -> float:
        """Return the share of a network's calls that the circuits of all dispatchers let through by now."""
        return share_of_all(self._dependencies[network_code], self._process, await self._reports() or ())

    async def look(self) -> None:
        """Tell what has changed, and now and then all: another may have written what is not so, and died.

        Raises what the database raises.
        """
        reports = await self._reports()
        now_s = asyncio.get_running_loop().time()
        # Without Redis dispatchers need not agree, and would write over each other for ever.
        is_again = reports is not None and now_s >= self._again_at_s
        for code, dependency in self._dependencies.items():
            share = share_of_all(dependency, self._process, reports or ())
            if self._told.get(code) == share and not is_again:
                continue
            async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                note = self._causes.get(code, "")[:500]
                network = await networks_store.set_circuit(connection, code, share, note, datetime.now(UTC))
                if network is not None:
                    await networks_store.tell(connection, [changed_event(network, "")])
                    log.info("a network's health", extra={"network": code, "share": share, "cause": note})
            self._told[code] = share
            if share == 0 and code in self._when_down:
                self._when_down[code]()
        if is_again:
            self._again_at_s = now_s + self._again_s

    def _note(self, network_code: str, cause: str) -> None:
        self._causes[network_code] = cause
        # What another dispatcher told meanwhile may be what this one told last.
        self._told.pop(network_code, None)
        self.changed.set()

    async def _reports(self) -> list[Report] | None:
        """Return what all processes say; None where that is not known, and what this process finds out counts."""
        try:
            async with asyncio.timeout(self._limits.redis_timeout_ms / 1000):
                return await read_board(self._board, self._limits)
        except (RedisError, OSError, TimeoutError):
            return None


class NetworkWatch:
    """Probes one network while it is down, and takes back what it has not answered or not heard of."""

    def __init__(
        self,
        code: str,
        adapter: NetworkAdapter,
        dependency: Dependency,
        primary: asyncpg.Pool,
        limits: DispatchLimits,
        keeper: HealthKeeper,
    ) -> None:
        self._code = code
        self._adapter = adapter
        self._dependency = dependency
        self._primary = primary
        self._limits = limits
        self._keeper = keeper
        self.changed = asyncio.Event()
        dependency.on_change(lambda _: self.changed.set())
        keeper.when_down(code, self.changed.set)

    async def look(self) -> None:
        """Do what a network that is down needs. Raises what the database raises."""
        if self._dependency.share:
            return
        # Where another dispatcher reaches it, its offers hold: what is down is the way from here.
        if await self._keeper.share(self._code) == 0:
            await self._withdraw()
        if self._dependency.is_probe_due:
            try:
                await self._dependency.call(self._adapter.ping)
            except DependencyError as error:
                log.info("a network is still down", extra={"network": self._code, "error": error_text(error)})
            except Exception:  # it is down anyway; whatever its answer was, the next look is soon
                log.exception("a network cannot be probed", extra={"network": self._code})

    async def _withdraw(self) -> None:
        while True:
            async with self._primary.acquire() as connection, visible(connection, OPERATOR):
                found = await store.offers_to_take_back(connection, self._code, self._limits.withdrawn_at_once_max)
                moved = await take_back(connection, found)
            metrics.WITHDRAWN.labels(self._code).inc(moved)
            if len(found) < self._limits.withdrawn_at_once_max or not moved:
                return
