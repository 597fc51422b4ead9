"""The cities, kept in the process: every delivery and position is checked against one."""

import asyncio
import logging
import time
from collections.abc import Iterable

from libs.postgres.outages import NOT_ANSWERED
from services.assignment.cities import store
from services.assignment.cities.city import City
from services.assignment.database import SERVICE, Database

log = logging.getLogger("cities")

# The primary is asked about unknown codes at most this often, by however many callers.
MISS_SPACING_S = 0.1


class CityDirectory:
    """Cities by code, read from the standby again after `refresh_s`, and from the primary for an unknown code.

    A city that was created a moment ago anywhere is found at once. While the standby does not answer, the cities
    that are known stay in use.
    """

    def __init__(self, database: Database, refresh_s: float) -> None:
        self._database = database
        self._refresh_s = refresh_s
        self._cities: dict[str, City] = {}
        self._stale_at_s = 0.0
        self._missed_at_s = 0.0
        self._lock = asyncio.Lock()

    async def get(self, code: str) -> City | None:
        """Return a city, or None when no city has this code."""
        if time.monotonic() >= self._stale_at_s:
            await self._refresh()
        city = self._cities.get(code)
        if city is None:
            await self._read_primary()
            city = self._cities.get(code)
        return city

    def learn(self, cities: Iterable[City]) -> None:
        """Take in cities that were just read or written; an older version never replaces a newer one."""
        for city in cities:
            known = self._cities.get(city.code)
            if known is None or known.version <= city.version:
                self._cities[city.code] = city

    async def _refresh(self) -> None:
        async with self._lock:
            if time.monotonic() < self._stale_at_s:
                return
            try:
                async with self._database.query(SERVICE, None) as connection:
                    self.learn(await store.every(connection))
            except NOT_ANSWERED:
                if not self._cities:
                    raise
                log.warning("cities were not refreshed", exc_info=True)
            self._stale_at_s = time.monotonic() + self._refresh_s

    async def _read_primary(self) -> None:
        asked_at_s = time.monotonic()
        async with self._lock:
            if self._missed_at_s > asked_at_s:
                return  # The primary was read for another caller since, which answers this one too.
            await asyncio.sleep(max(0.0, self._missed_at_s + MISS_SPACING_S - time.monotonic()))
            started_at_s = time.monotonic()
            async with self._database.command(SERVICE) as connection:
                self.learn(await store.every(connection))
            self._missed_at_s = started_at_s
