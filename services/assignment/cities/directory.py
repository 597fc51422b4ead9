"""Cities by code, kept in memory: every delivery asks for one, and they change a few times a year."""

import asyncio
import time

from services.assignment.cities import store
from services.assignment.cities.city import City
from services.assignment.database import Database


class CityDirectory:
    """Answers from memory, and reads the cities again after `refresh_s`, or for a code that it does not know."""

    def __init__(self, database: Database, refresh_s: float) -> None:
        self._database = database
        self._refresh_s = refresh_s
        self._cities: dict[str, City] = {}
        # Unknown codes are remembered too, so that a stream of them cannot keep the primary busy.
        self._unknown: set[str] = set()
        self._read_at_s = float("-inf")
        self._reading = asyncio.Lock()

    async def get(self, code: str) -> City | None:
        """Return the city, or None when there is none with this code, a just-opened one included."""
        if time.monotonic() - self._read_at_s > self._refresh_s:
            await self._read(fresh=False, since_s=self._read_at_s)
        if code not in self._cities and code not in self._unknown:
            await self._read(fresh=True, since_s=self._read_at_s)
            if code not in self._cities:
                self._unknown.add(code)
        return self._cities.get(code)

    async def _read(self, fresh: bool, since_s: float) -> None:
        async with self._reading:
            if self._read_at_s > since_s and not fresh:
                return  # somebody else has just read them
            async with self._database.reference_data(fresh) as connection:
                cities = {city.code: city for city in await store.every(connection)}
            # The standby may not have what was read from the primary a moment ago.
            self._cities = {**self._cities, **cities}
            self._unknown.clear()
            self._read_at_s = time.monotonic()
