"""Which city each partner works in, remembered for a while: positions are checked against it."""

import time
from collections.abc import Iterable
from uuid import UUID

from services.assignment.database import SERVICE, Database
from services.assignment.partners import store
from services.assignment.partners.positions import PositionLimits


class PartnerCities:
    """City codes by partner id, read from the standby set by set, and bounded in number and age."""

    def __init__(self, database: Database, limits: PositionLimits) -> None:
        self._database = database
        self._limits = limits
        # In the order of reading: the oldest is the first to go. An unknown partner has no city code.
        self._known: dict[str, tuple[str | None, float]] = {}

    async def of(self, partner_ids: Iterable[str]) -> dict[str, str]:
        """Return the city codes of those of `partner_ids`, in lower case, that there are."""
        now_s = time.monotonic()
        missing = []
        found: dict[str, str] = {}
        for partner_id in set(partner_ids):
            city_code, expires_at_s = self._known.get(partner_id, (None, 0.0))
            if expires_at_s <= now_s:
                missing.append(partner_id)
            elif city_code is not None:
                found[partner_id] = city_code
        if missing:
            found |= await self._read(missing)
        return found

    def forget(self, partner_id: UUID) -> None:
        """Look a partner up again that was changed."""
        self._known.pop(str(partner_id), None)

    async def _read(self, partner_ids: list[str]) -> dict[str, str]:
        wanted = {UUID(partner_id) for partner_id in partner_ids}
        async with self._database.query(SERVICE, None) as connection:
            rows = await store.cities_of(connection, wanted)
        unknown = wanted - rows.keys()
        if unknown:  # One that was onboarded a moment ago may not have reached the standby.
            async with self._database.command(SERVICE) as connection:
                rows |= await store.cities_of(connection, unknown)
        read = {str(partner_id): city_code for partner_id, city_code in rows.items()}
        now_s = time.monotonic()
        for partner_id in partner_ids:
            city_code = read.get(partner_id)
            ttl_s = self._limits.partner_unknown_s if city_code is None else self._limits.city_known_s
            self._known.pop(partner_id, None)
            self._known[partner_id] = (city_code, now_s + ttl_s)
        while len(self._known) > self._limits.cities_known_max:
            del self._known[next(iter(self._known))]
        return read
