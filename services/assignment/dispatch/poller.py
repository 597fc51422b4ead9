"""Asks a network that sends no webhooks what has happened, and takes it in page by page."""

import asyncio
import logging
from collections.abc import Sequence

import asyncpg

from libs.postgres.tenancy import visible
from libs.resilience.dependency import Dependency
from libs.resilience.errors import DependencyError
from libs.telemetry import error_text
from services.assignment.dispatch import metrics, store
from services.assignment.dispatch.adapters.base import NetworkAdapter
from services.assignment.dispatch.network import NetworkConfig
from services.assignment.dispatch.settings import DispatchLimits
from services.assignment.dispatch.update import Outcome, UpdateRefusedError, update_of
from services.assignment.dispatch.updates import NetworkUpdates
from services.assignment.visibility import OPERATOR

log = logging.getLogger("dispatcher")

# After so many looks at one page, what still comes too early in it is passed over.
PATIENCE_LOOKS = 10


class NetworkPoller:
    """Polls one network. Pages may come again, and change nothing then: each update has one right outcome.

    `dependency` is of its own: polls that work would hide that the network takes no offers.
    """

    def __init__(
        self,
        config: NetworkConfig,
        adapter: NetworkAdapter,
        dependency: Dependency,
        primary: asyncpg.Pool,
        updates: NetworkUpdates,
        limits: DispatchLimits,
        stop: asyncio.Event,
    ) -> None:
        self._config = config
        self._adapter = adapter
        self._dependency = dependency
        self._primary = primary
        self._updates = updates
        self._pages_max = limits.pages_at_once_max
        self._stop = stop
        self._patience = PATIENCE_LOOKS

    async def look(self) -> None:
        """Take in what there is. Raises what the database raises."""
        # While it is down, nobody else asks for updates: whether it is back only a poll can tell.
        if not self._dependency.share and not self._dependency.is_probe_due:
            return
        # A network whose place always moves on is left alone in between, as any other.
        for _ in range(self._pages_max):
            if not await self._page() or self._stop.is_set():
                return

    async def _page(self) -> bool:
        """Take one page in; return whether there may be a further one."""
        code = self._config.code
        async with self._primary.acquire() as connection, visible(connection, OPERATOR):
            cursor = await store.cursor(connection, code)
        try:
            page = await self._dependency.call(self._adapter.poll, cursor)
        except DependencyError as error:
            log.info("a network cannot be polled", extra={"network": code, "error": error_text(error)})
            return False
        except Exception:  # an answer that nothing is known about: the next look is soon
            log.exception("a network cannot be polled", extra={"network": code})
            return False
        if await self._take_in_all(page.updates) and self._patience:
            # What comes first may be on its way: the page is asked for again, for a while.
            self._patience -= 1
            return False
        self._patience = PATIENCE_LOOKS
        if page.cursor == cursor:
            return False
        async with self._primary.acquire() as connection, visible(connection, OPERATOR):
            await store.keep_cursor(connection, code, page.cursor)
        return True

    async def _take_in_all(self, updates: Sequence[object]) -> int:
        """Take a page in, whatever its order; return how many updates came too early all the same."""
        waiting = list(updates)
        while waiting:
            early = [body for body in waiting if await self._take_in(body) is Outcome.TOO_EARLY]
            if len(early) == len(waiting):
                break
            waiting = early
        return len(waiting)

    async def _take_in(self, body: object) -> Outcome:
        try:
            update = update_of(body, self._config.mapping.callback)
        except UpdateRefusedError as error:
            metrics.UPDATES.labels(self._config.code, "malformed").inc()
            log.warning("a malformed update", extra={"network": self._config.code, "error": str(error)})
            return Outcome.REFUSED
        if update is None:
            return Outcome.IGNORED
        return (await self._updates.apply(self._config.code, update)).outcome
